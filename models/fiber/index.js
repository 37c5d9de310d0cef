export * from '@cs/modern/fiber'
