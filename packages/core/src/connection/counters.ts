/**
 * What one role has done, in cells of shared memory with one writer: the thread that runs the role. Readers on other
 * threads or processes may see a count one request old, never a torn one (aligned 8-byte stores on 64-bit machines).
 */

export const ACCEPTED = 0
export const CLOSED_COUNT = 1
export const REQUESTS = 2
export const ERRORS = 3
export const BYTES_IN = 4
export const BYTES_OUT = 5
export const PAUSES = 6
export const LOST = 7
export const COUNTERS = 8

/** The counters of one unit, or the sums over several. */
export interface Counts {
  /** Connections accepted. */
  readonly accepted: number
  /** Connections closed, which another unit may have accepted. */
  readonly closed: number
  /** Requests that reached the app. */
  readonly requests: number
  /** Requests that the server had to answer itself: a handler failed (500), or the request was refused (4xx, 501, 505). */
  readonly errors: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Times that accepting paused because no descriptor was left that could be served; clients waited in the backlog. */
  readonly pauses: number
  /** Connections that ended because the thread or process that served them died. */
  readonly lost: number
}

/** Reads the counters of one unit. */
export function countsOf(cells: Float64Array): Counts {
  return {
    accepted: cells[ACCEPTED],
    closed: cells[CLOSED_COUNT],
    requests: cells[REQUESTS],
    errors: cells[ERRORS],
    bytesIn: cells[BYTES_IN],
    bytesOut: cells[BYTES_OUT],
    pauses: cells[PAUSES],
    lost: cells[LOST],
  }
}

/** Writes them, for a unit that has others count for it. */
export function writeCounts(cells: Float64Array, counts: Counts): void {
  cells[ACCEPTED] = counts.accepted
  cells[CLOSED_COUNT] = counts.closed
  cells[REQUESTS] = counts.requests
  cells[ERRORS] = counts.errors
  cells[BYTES_IN] = counts.bytesIn
  cells[BYTES_OUT] = counts.bytesOut
  cells[PAUSES] = counts.pauses
  cells[LOST] = counts.lost
}

/** Adds counts up. */
export function sumOf(counts: readonly Counts[]): Counts {
  const sum = { accepted: 0, closed: 0, requests: 0, errors: 0, bytesIn: 0, bytesOut: 0, pauses: 0, lost: 0 }
  for (const each of counts) for (const name of Object.keys(sum) as (keyof Counts)[]) sum[name] += each[name]
  return sum
}
