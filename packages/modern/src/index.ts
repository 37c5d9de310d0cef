/** Servers of user-space concurrency. */
export { type CoroutineOptions, coroutine } from './coroutine.js'
export { type FiberOptions, fiber } from './fiber.js'
