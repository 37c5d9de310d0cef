/** Servers made of threads. */
export { type MultiThreadOptions, multiThread } from './multi-thread.js'
export { type ThreadPoolOptions, threadPool } from './thread-pool.js'
