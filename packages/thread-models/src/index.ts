/** Servers made of threads. */
export { type ThreadPoolOptions, threadPool } from './thread-pool.js'
