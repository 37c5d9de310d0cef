export * from '@cs/process-models/process-pool2'
