/** The loop floor: how Node's event loop lives on a thread that runs a loop of its own, or blocks. */
export { BlockingThread, type Rival, type Shift } from './blocking-thread.js'
export { type ChildRows, Children, type Parent } from './children.js'
export { type Admitter, Door } from './door.js'
export {
  EventLoop,
  type EventLoopSettings,
  type EventLoopStatistics,
  relaySignals,
  stopLoop,
} from './event-loop.js'
export { type Ledger, NestedLibuv, type Watcher } from './libuv.js'
export { Mailbox, type Task } from './mailbox.js'
export { Attendant, endQuiet, type Intake, Lot, openLot } from './parking.js'
export { type Timer, TimerHeap } from './timer-heap.js'
export { Workload, WorkloadRow, type WorkloadStatistics } from './workload.js'
