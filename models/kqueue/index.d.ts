export * from '@cs/io-multiplexing/kqueue'
