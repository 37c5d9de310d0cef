export * from '@cs/modern/coroutine'
