/** Servers after the patterns for concurrent and networked objects. */
export { type EventLoopOptions, eventLoop } from './event-loop.js'
export { type ProactorOptions, proactor } from './proactor.js'
