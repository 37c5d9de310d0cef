export * from '@cs/patterns/pipeline'
