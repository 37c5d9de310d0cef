export * from '@cs/patterns/leader-follower'
