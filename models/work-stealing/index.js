export * from '@cs/patterns/work-stealing'
