/** Servers of user-space concurrency, and the libraries that they are built on. */
export { type ActorOptions, actor } from './actor.js'
