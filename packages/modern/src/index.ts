/** Servers of user-space concurrency. */
export { type CoroutineOptions, coroutine } from './coroutine.js'
