/**
 * What the producers tell the attendant without the buffer: that there are connections, so that it must look at the time, and that
 * they produce no more. It is called only where it sleeps without end, that is, where there were none.
 *
 *   producer:   enters a connection ── RESTING? ─▶ call        attendant:  RESTING := 1 ── any connection? ─▶ RESTING := 0
 *
 * Both write before they look, so at least one of them sees the other.
 */

import type { Service } from '@cs/core'
import { close, eventfd, eventfdDrain, eventfdSignal } from '@cs/core/posix'

/** 1 while the attendant sleeps without end. */
const RESTING = 0
/** A cell for each producer: 1 from its first accept until its last put. */
const PRODUCERS = 1

/** What the threads share of it. */
export interface Calls {
  /** An eventfd, readable when the attendant is called. */
  readonly fd: number
  readonly cells: Int32Array
}

/** Makes what the threads share; whoever made it closes the eventfd when all have ended. */
export function openCalls(producers: number): Calls {
  const cells = new Int32Array(new SharedArrayBuffer((PRODUCERS + producers) * 4))
  return { fd: eventfd(0, { nonblocking: true }), cells }
}

export function closeCalls({ fd }: Calls): void {
  close(fd)
}

/** Notes that a producer begins, or that it has put its last. */
export function produces({ cells }: Calls, index: number, does: boolean): void {
  Atomics.store(cells, PRODUCERS + index, does ? 1 : 0) // publishes what it has put before
}

/** True until every producer that began has put its last. */
export function anyProduces({ cells }: Calls): boolean {
  return cells.subarray(PRODUCERS).some((_, i) => Atomics.load(cells, PRODUCERS + i) === 1)
}

/** Calls the attendant if it sleeps without end. After a connection was entered in the table. */
export function call({ fd, cells }: Calls): void {
  if (Atomics.load(cells, RESTING) === 1 && Atomics.exchange(cells, RESTING, 0) === 1) eventfdSignal(fd)
}

/** Tells whether the attendant may sleep without end, and has it called then. */
export function mayRest({ cells }: Calls, { table }: Service): boolean {
  Atomics.store(cells, RESTING, 1)
  if (table.size === 0) return true
  Atomics.store(cells, RESTING, 0)
  return false
}

/** Takes the call. */
export function answer({ fd }: Calls): void {
  eventfdDrain(fd)
}
