/** What the acceptor, the workers and the host of a work-stealing server share. */

import { BoundedQueue, type Intake, Workload, type WorkloadStatistics } from '@cs/core'
import { IdleWorkers, WorkStealingDeque } from '@cs/core/sync'
import { TaskTable } from './task-table.js'

/** The most workers there may be. */
export const MOST = 256

/** Connections that a worker takes out of the injection queue at once, at most. */
export const BATCH = 64

/** Tasks of a worker that others can see or run, at most; what it spawns beyond waits on its own thread. */
const TASKS_EACH = 1024

/** Counts of a worker, each a 64-bit cell. The first three are floating point and the worker's own. */
export const EXECUTED = 0
export const STEALS = 1
export const PARKED = 2
/** An integer, to which thieves add. */
export const STOLEN = 3
export const COUNTS = 4

export interface Crew {
  /** Connections that come from outside: the one queue that all workers take from. */
  readonly injection: BoundedQueue
  /** One cell: workers that are still to be sent away. Any thread. */
  readonly dismissals: Int32Array
  /** A deque each, of descriptors. */
  readonly connections: readonly WorkStealingDeque[]
  /** A deque each, of rows of the table: apart, so that a worker amid a handler can look for tasks alone. */
  readonly tasks: readonly WorkStealingDeque[]
  readonly table: TaskTable
  /** Workers that do anything. */
  readonly idle: IdleWorkers
  /** Workers that wait for a task amid a handler, and help with others meanwhile. */
  readonly joining: IdleWorkers
  readonly counts: SharedArrayBuffer
  readonly workload: Workload
}

export function createCrew(waiting: number): Crew {
  return {
    injection: BoundedQueue.create(waiting),
    dismissals: new Int32Array(new SharedArrayBuffer(4)),
    connections: Array.from({ length: MOST }, () => WorkStealingDeque.create(BATCH)),
    tasks: Array.from({ length: MOST }, () => WorkStealingDeque.create(TASKS_EACH)),
    table: TaskTable.create(MOST, TASKS_EACH),
    idle: IdleWorkers.create(MOST),
    joining: IdleWorkers.create(MOST),
    counts: new SharedArrayBuffer(MOST * COUNTS * 8),
    workload: Workload.create(MOST),
  }
}

/** The side of those who put connections in from outside. Any thread. */
export class Injector implements Intake {
  readonly #crew: Crew

  constructor(crew: Crew) {
    this.#crew = crew
  }

  /** Puts descriptors in, blocking while the queue is full, and has a worker woken if none is on its way. */
  putMany(fds: Int32Array, count: number): void {
    const { injection, idle } = this.#crew
    for (let put = 0; put < count; ) {
      let fitting = injection.putMany(fds.subarray(put, count), count - put, 0)
      if (fitting === 0) {
        if (injection.put(fds[put]) === 'closed') return
        fitting = 1
      }
      put += fitting
      idle.notify() // before it blocks again: nobody else would wake a worker for what is in
    }
  }

  /** Says that nothing more comes; workers return once nothing is left. */
  close(): void {
    this.#crew.injection.close()
    this.#crew.idle.callAll()
  }
}

/** Has one worker return, whichever is the first to have nothing of its own. Any thread. */
export function dismissOne({ dismissals, idle }: Crew): void {
  Atomics.add(dismissals, 0, 1) // seen by whoever looks next, or is woken
  idle.call()
}

/** Wakes a worker of whose tasks one has ended: both its looker, and its thread where that has nothing else to do. Any thread. */
export function callSpawner({ joining, idle }: Crew, spawner: number): void {
  joining.callOne(spawner)
  idle.callOne(spawner)
}

/** Tells those who wait for what a dead worker was running, and the thieves of what it had not begun. Host only. */
export function settleDead(crew: Crew, index: number): void {
  const { table, joining, idle } = crew
  for (const seats of [joining, idle]) seats.worker(index).leave() // it is no sleeper that could be called
  for (const spawner of table.abandon(index)) callSpawner(crew, spawner)
  idle.notify()
}

export interface WorkerStatistics {
  /** Connections and tasks that wait in its deques. */
  readonly connections: number
  readonly tasks: number
  /** Connections and tasks that it has taken up. */
  readonly executed: number
  /** How many of them it stole, how many were stolen from it, and how often it slept. */
  readonly steals: number
  readonly stolen: number
  readonly parked: number
}

/** What each worker has done, under its number. */
export function statisticsOf(crew: Crew): { workers: WorkerStatistics[]; workload: WorkloadStatistics } {
  const floats = new Float64Array(crew.counts)
  const integers = new BigInt64Array(crew.counts)
  const workers = Array.from({ length: crew.idle.known }, (_, index) => ({
    connections: crew.connections[index].size,
    tasks: crew.tasks[index].size,
    executed: floats[index * COUNTS + EXECUTED],
    steals: floats[index * COUNTS + STEALS],
    stolen: Number(integers[index * COUNTS + STOLEN]),
    parked: floats[index * COUNTS + PARKED],
  }))
  return { workers, workload: crew.workload.statistics() }
}
