export * from '@cs/patterns/half-sync-async'
