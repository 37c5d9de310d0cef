export * from '@cs/patterns/event-loop'
