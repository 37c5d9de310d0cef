export * from '@cs/thread-models/multi-thread'
