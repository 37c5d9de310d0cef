/**
 * How many threads there are: for a server that gives each connection one of its own.
 *
 * A thread costs as much as hundreds of short connections. So one is made for connections that have lain in the queue for a
 * moment, when those that run are blocked or with their clients, and ahead of need for the next; not for each that comes.
 */

import type { HotQueue } from '@cs/core'
import { connectionsIn, countsOf, exchange, POPULATION, type Roster, SPARE, THREAD, threadsIn } from './roster.js'

/** Milliseconds for which a connection may lie in the queue before it is seen to. */
const PATIENCE_MS = 10

/** Milliseconds between two looks at how many threads are spare. */
const REVIEW_MS = 50

const FOREVER = Number.POSITIVE_INFINITY

/** Sees to it that there are as many threads as are needed. Acceptor's thread only. */
export class Recruiter {
  readonly #roster: Roster
  readonly #queue: HotQueue
  readonly #keepMs: number
  readonly #more: (threads: number) => void
  /** The fewest connections at once since the last review, and the most since threads were last dismissed. */
  #least = 0
  #most = 0
  #reviewedAt: number
  #since: number

  /**
   * @param keepMs how long threads are kept that were not needed; 0: for ever
   * @param more starts so many threads
   */
  constructor(roster: Roster, queue: HotQueue, keepMs: number, now: number, more: (threads: number) => void) {
    this.#roster = roster
    this.#queue = queue
    this.#keepMs = keepMs
    this.#more = more
    this.#since = now
    this.#reviewedAt = now
  }

  /**
   * Counts in a connection that is about to be accepted, and, where none are kept, a thread for it. False where there can be no
   * thread for it; then it is counted only if it is one of the `last`, which are accepted all the same.
   */
  reserve(last = false): boolean {
    const { cells, limit } = this.#roster
    for (;;) {
      const population = Atomics.load(cells, POPULATION)
      const connections = connectionsIn(population) + 1
      if (connections > limit && !last) return false
      const more = cells[SPARE] > 0 ? 0 : Math.max(0, Math.min(limit, connections) - threadsIn(population))
      if (!exchange(cells, population, population + more * THREAD + 1)) continue
      this.#least = Math.min(this.#least, connections - 1)
      this.#most = Math.max(this.#most, connections)
      if (more > 0) this.#more(more)
      return true
    }
  }

  /** Takes back the last {@link reserve}: there was nobody to accept. */
  cancel(): void {
    Atomics.sub(this.#roster.cells, POPULATION, 1)
  }

  /** Milliseconds until {@link review} has something to look at, -1 for ever. */
  timeout(now: number): number {
    if (this.#queue.size > 0) return PATIENCE_MS
    const { threads, connections, spare } = countsOf(this.#roster)
    const untilSpare = threads < Math.min(this.#roster.limit, connections + spare) ? this.#untilReview(now) : FOREVER
    const untilExcess = this.#keepMs > 0 && threads > spare ? this.#untilExcess(now) : FOREVER
    return Math.min(untilSpare, untilExcess) === FOREVER ? -1 : Math.min(untilSpare, untilExcess)
  }

  /** Has more threads run where connections lie in the queue, and sees now and then to those that are to be spare. */
  review(now: number): void {
    if (this.#queue.review(now, PATIENCE_MS)) this.#recruit(countsOf(this.#roster).connections)
    const { connections } = countsOf(this.#roster)
    this.#least = Math.min(this.#least, connections)
    if (this.#untilReview(now) > 0) return
    this.#reviewedAt = now
    this.#recruit(this.#least) // what is in hand only for a moment does not count
    this.#least = connections
    if (this.#keepMs > 0 && this.#untilExcess(now) === 0) this.#dismiss(now)
  }

  /** Puts those on the roster that are wanting for so many connections. */
  #recruit(connections: number): void {
    const { cells, limit } = this.#roster
    const population = Atomics.load(cells, POPULATION)
    const more = Math.min(limit, connections + cells[SPARE]) - threadsIn(population)
    if (more > 0 && exchange(cells, population, population + more * THREAD)) this.#more(more)
  }

  /** Takes those off the roster that nobody has needed for a while. */
  #dismiss(now: number): void {
    const { cells, limit } = this.#roster
    const population = Atomics.load(cells, POPULATION)
    const most = Math.max(this.#most, connectionsIn(population))
    const excess = Math.max(0, threadsIn(population) - Math.min(limit, most + cells[SPARE]))
    if (!exchange(cells, population, population - excess * THREAD)) return // next time
    this.#since = now
    this.#most = connectionsIn(population)
    for (let n = 0; n < excess; n++) this.#queue.dismiss()
  }

  #untilReview(now: number): number {
    return Math.max(0, REVIEW_MS - ((now - this.#reviewedAt) | 0))
  }

  #untilExcess(now: number): number {
    return Math.max(0, this.#keepMs - ((now - this.#since) | 0))
  }
}
