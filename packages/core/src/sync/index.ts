/**
 * What threads share, on SharedArrayBuffer and Atomics alone: locks, queues, rings, and how they travel between
 * threads.
 */
export { BoundedQueue, type PutResult, type QueueStatistics, type TakeResult } from './bounded-queue.js'
export { Condition } from './condition.js'
export { HotQueue, type Source, Taker } from './hot-queue.js'
export { IdleWorker, IdleWorkers } from './idle-workers.js'
export { Mutex } from './mutex.js'
export { RecordRing, type RingStatistics, type WriteResult } from './record-ring.js'
export { Semaphore } from './semaphore.js'
export {
  type Dehydrated,
  dehydrate,
  hydrate,
  registerShareable,
  type Shareable,
  type ShareableClass,
} from './shareable.js'
export type { Shared } from './shared.js'
export { type DequeStealer, type DequeWorker, type Stolen, WorkStealingDeque } from './work-stealing-deque.js'
