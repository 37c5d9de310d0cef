/**
 * What every server concurrency model shares, floor by floor; each floor uses only those above it in this list.
 *
 * `posix` system calls · `sync` what threads share · `socket` listening sockets · `http` the responder without I/O ·
 * `connection` HTTP on a socket · `demux` event demultiplexers · `loop` a thread's loop · `crossing` requests handled on another
 * thread · `coroutine` control flow that waits · `proactor` operations that complete · `host` where roles run · `model` what a model
 * is. This entry has what a model's own file needs; the floors are subpaths.
 */
export {
  APP,
  CLOSED,
  Connection,
  ConnectionSet,
  type FetchApp,
  limitWaits,
  REQUESTS,
  Service,
  type Waiting,
} from './connection/index.js'
export { Conversation, Scheduler, type Steps } from './coroutine/index.js'
export { Answerer, Caller, Crossing } from './crossing/index.js'
export {
  DEFAULT_DEMULTIPLEXER,
  DEMULTIPLEXERS,
  type Demultiplexer,
  type DemultiplexerName,
  describeDemultiplexer,
  describeKqueue,
  EpollDemultiplexer,
  type KqueueBackend,
  KqueueDemultiplexer,
  openDemultiplexer,
  PollDemultiplexer,
  READABLE,
  SelectDemultiplexer,
  type Trigger,
  Wakeup,
  type WakeupKind,
  WOKEN,
  WRITABLE,
} from './demux/index.js'
export { onProcess, onThread, onThreadOrCaller, type Population, type RoleContext, ServerError } from './host/index.js'
export {
  Attendant,
  BlockingThread,
  Children,
  Door,
  EventLoop,
  endQuiet,
  type Intake,
  type Ledger,
  Lot,
  NestedLibuv,
  openLot,
  type Rival,
  type Shift,
  type Timer,
  Workload,
  WorkloadRow,
  type WorkloadStatistics,
} from './loop/index.js'
export * from './model/index.js'
export { close, PosixError, UnsupportedError } from './posix/index.js'
export {
  Acceptor,
  AsynchronousTransport,
  type BackendChoice,
  describeProcessor,
  openProcessor,
  watcherOn,
} from './proactor/index.js'
export { EXHAUSTED, EXHAUSTED_PAUSE_MS, Listener } from './socket/index.js'
export { BoundedQueue, HotQueue, type QueueStatistics, type Source, type TakeResult, type Taker } from './sync/index.js'
