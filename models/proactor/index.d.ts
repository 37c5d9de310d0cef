export * from '@cs/patterns/proactor'
