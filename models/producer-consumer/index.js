export * from '@cs/patterns/producer-consumer'
