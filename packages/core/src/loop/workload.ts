/**
 * How busy the threads of a role are, and how long what they take from a queue has waited there: a row a thread, in memory that
 * all share. Each row has one writer, the thread; what readers put together from several cells is right to within one item.
 *
 *   begins ── serves ── begins ── serves ── ends ─▶ sleeps ─▶ begins …        (busy from the first to `ends`)
 */

import { monotonicTime } from '../connection/index.js'
import type { ConnectionTable } from '../socket/index.js'
import { registerShareable, type Shared } from '../sync/index.js'
import type { Shift } from './blocking-thread.js'

/** The cells of a row; times in ms of the monotonic clock. */
const BORN = 0 // 0: no thread has the row
const LIVED = 1 // of the threads that had the row before, all in all
const BUSY_SINCE = 2 // 0: it sleeps
const BUSY = 3 // until then, all in all
const TAKEN = 4
const WAITED = 5 // all in all
const WAITED_LONGEST = 6
const ROW = 8

/** What the threads of a role have done. */
export interface WorkloadStatistics {
  /** Threads that there are. */
  readonly threads: number
  /** Threads that serve at this moment. */
  readonly busy: number
  /** The share of the threads that is busy: now, and on average since they began; 0 to 1. */
  readonly occupancy: { readonly now: number; readonly average: number }
  /** How long what they took had waited, in ms. */
  readonly waitingMs: { readonly average: number; readonly max: number }
}

/** Any thread reads, each thread writes the row that is its own. */
export class Workload {
  readonly #cells: Float64Array

  private constructor(cells: Float64Array) {
    this.#cells = cells
  }

  /** Makes rows for so many threads at once. */
  static create(threads: number): Workload {
    return new Workload(new Float64Array(new SharedArrayBuffer(threads * ROW * 8)))
  }

  static from({ buffer }: Shared): Workload {
    return new Workload(new Float64Array(buffer))
  }

  share(): Shared {
    return { kind: 'workload', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Gives a thread its row, also after another that died or left. The thread only, once. */
  row(index: number, table: ConnectionTable): WorkloadRow {
    return new WorkloadRow(this.#cells.subarray(index * ROW, (index + 1) * ROW), table)
  }

  /** What has been done until now. Any thread. */
  statistics(): WorkloadStatistics {
    const now = monotonicTime()
    const sum = { threads: 0, busy: 0, lived: 0, worked: 0, taken: 0, waited: 0, longest: 0 }
    for (let at = 0; at < this.#cells.length; at += ROW) {
      const row = this.#cells.subarray(at, at + ROW)
      const since = row[BUSY_SINCE]
      if (row[BORN] !== 0) sum.threads++
      if (since !== 0) sum.busy++
      sum.lived += row[LIVED] + (row[BORN] === 0 ? 0 : now - row[BORN])
      sum.worked += row[BUSY] + (since === 0 ? 0 : Math.max(0, now - since))
      sum.taken += row[TAKEN]
      sum.waited += row[WAITED]
      sum.longest = Math.max(sum.longest, row[WAITED_LONGEST])
    }
    return {
      threads: sum.threads,
      busy: sum.busy,
      occupancy: { now: share(sum.busy, sum.threads), average: share(sum.worked, sum.lived) },
      waitingMs: { average: sum.taken === 0 ? 0 : sum.waited / sum.taken, max: sum.longest },
    }
  }
}

/** One thread's row. Owner thread only. */
export class WorkloadRow implements Shift {
  readonly #cells: Float64Array
  readonly #table: ConnectionTable

  constructor(cells: Float64Array, table: ConnectionTable) {
    this.#cells = cells
    this.#table = table
    cells[BUSY_SINCE] = 0 // of one that died at work
    if (cells[BORN] === 0) cells[BORN] = monotonicTime()
  }

  /** A connection was taken, whose row in the table says since when it had waited. */
  begins(fd: number, time: number): void {
    this.takes(this.#table.queuedFor(fd, time), time)
  }

  /** Something was taken that had waited for so many ms. */
  takes(waited: number, time: number): void {
    const cells = this.#cells
    if (cells[BUSY_SINCE] === 0) cells[BUSY_SINCE] = time
    cells[TAKEN]++
    cells[WAITED] += waited
    if (waited > cells[WAITED_LONGEST]) cells[WAITED_LONGEST] = waited
  }

  /** There is nothing more to take. */
  ends(time: number = monotonicTime()): void {
    const cells = this.#cells
    if (cells[BUSY_SINCE] === 0) return
    cells[BUSY] += time - cells[BUSY_SINCE]
    cells[BUSY_SINCE] = 0
  }

  /** The thread leaves, and the row may be another's. */
  leave(): void {
    const cells = this.#cells
    const now = monotonicTime()
    this.ends(now)
    cells[LIVED] += now - cells[BORN]
    cells[BORN] = 0
  }
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.min(1, part / whole)
}

registerShareable('workload', Workload)
