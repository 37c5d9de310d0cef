/** The demultiplexer floor: one interface over the system calls that tell which descriptors are ready. */
export { type Demultiplexer, READABLE, type Trigger, WOKEN, WRITABLE } from './demultiplexer.js'
export { EpollDemultiplexer, type EpollSettings } from './epoll.js'
export { describeKqueue, type Kqueue, type KqueueBackend, kqueueBackend, openKqueue } from './kqueue/kqueue.js'
export { KqueueDemultiplexer, type KqueueSettings } from './kqueue.js'
export {
  DEFAULT_DEMULTIPLEXER,
  DEMULTIPLEXERS,
  type DemultiplexerName,
  type DemultiplexerSettings,
  describeDemultiplexer,
  openDemultiplexer,
} from './open.js'
export { PollDemultiplexer, type PollSettings } from './poll.js'
export { SelectDemultiplexer, type SelectSettings } from './select.js'
export { type SharedWakeup, Wakeup, type WakeupKind } from './wakeup.js'
