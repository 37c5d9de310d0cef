export * from '@cs/process-models/single-process'
