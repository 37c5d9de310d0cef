export * from '@cs/patterns/reactor'
