export * from '@cs/patterns/hybrid'
