/** Servers after the patterns for concurrent and networked objects. */
export { type EventLoopOptions, eventLoop } from './event-loop.js'
export { type ProactorOptions, proactor } from './proactor.js'
export {
  AcceptHandler,
  ConnectionHandler,
  type Deal,
  EventHandler,
  EventType,
  type EventTypes,
  Reactor,
  type ReactorOptions,
  type ReactorSettings,
  reactor,
} from './reactor.js'
export { join, spawn, type Task, TaskError, type WorkStealingOptions, workStealing } from './work-stealing.js'
