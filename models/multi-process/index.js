export * from '@cs/process-models/multi-process'
