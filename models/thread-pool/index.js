export * from '@cs/thread-models/thread-pool'
