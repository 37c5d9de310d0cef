export * from '@cs/io-multiplexing/epoll'
