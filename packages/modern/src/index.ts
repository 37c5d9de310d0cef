/** Servers of user-space concurrency, and the libraries that they are built on. */
export { type ActorOptions, actor } from './actor.js'
export { type CoroutineOptions, coroutine } from './coroutine.js'
export { type FiberOptions, fiber } from './fiber.js'
