/**
 * Fibers: threads of user space, thousands to a thread of the system, each with a stack of its own. They switch where they wait and
 * nowhere else, so what lies between two waits needs no lock.
 */
export {
  CancelledError,
  current,
  DeadlockError,
  handler,
  pause,
  type Steps,
  settled,
  sleep,
  TimeoutError,
  within,
} from '@cs/core/coroutine'
export { Channel, ChannelClosedError } from './channel.js'
export { type Body, type Fiber, type FiberSettings, run, spawn, spawnOn } from './fibers.js'
export { Mutex } from './mutex.js'
export type { Offer } from './offer.js'
export { after, type Selected, select } from './select.js'
export { call, FiberPanic, Stack } from './stack.js'
