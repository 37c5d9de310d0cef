export * from '@cs/io-multiplexing/select'
