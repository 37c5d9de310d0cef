/** Servers after the patterns for concurrent and networked objects. */
export { type EventLoopOptions, eventLoop } from './event-loop.js'
export { type HalfSyncAsyncOptions, halfSyncAsync } from './half-sync-async.js'
export { type PipelineOptions, pipeline } from './pipeline.js'
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
