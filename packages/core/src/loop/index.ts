/** The loop floor: how Node's event loop lives on a thread that runs a loop of its own, or blocks. */
export { BlockingThread, type Rival, type Shift } from './blocking-thread.js'
export type { ChildRows } from './children.js'
export { Door } from './door.js'
export { NestedLibuv } from './libuv.js'
export { Attendant, Lot, openLot } from './parking.js'
export { Workload, WorkloadRow, type WorkloadStatistics } from './workload.js'
