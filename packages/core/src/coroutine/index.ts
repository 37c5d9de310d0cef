/** The coroutine floor: control flow that waits without blocking its thread, and HTTP as such control flow. */
export { Conversation, handler, type Watch } from './conversation.js'
export type { Coroutine } from './coroutine.js'
export { drive } from './drive.js'
export { CancelledError, DeadlockError, named, TimeoutError } from './errors.js'
export { current, pause, settled, sleep, within } from './operations.js'
export { RunQueue } from './run-queue.js'
export { Scheduler, type SchedulerSettings, type SchedulerStatistics } from './scheduler.js'
export { Operation, type Steps, type Suspension, type Task, type TaskHost, type TaskLedger } from './suspension.js'
