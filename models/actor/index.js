export * from '@cs/modern/actor'
