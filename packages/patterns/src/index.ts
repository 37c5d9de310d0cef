/** Servers after the patterns for concurrent and networked objects. */
export { type EventLoopOptions, eventLoop } from './event-loop.js'
export { type HalfSyncAsyncOptions, halfSyncAsync } from './half-sync-async.js'
export { type Combination, type HybridOptions, hybrid } from './hybrid.js'
export {
  type Follower,
  type Leader,
  type LeaderFollowerOptions,
  leaderFollower,
  ThreadSet,
  type ThreadSetStatistics,
} from './leader-follower.js'
export { type PipelineOptions, pipeline } from './pipeline.js'
export { type ProactorOptions, proactor } from './proactor.js'
export { type ProducerConsumerOptions, producerConsumer } from './producer-consumer.js'
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
