export * from '@cs/io-multiplexing/poll'
