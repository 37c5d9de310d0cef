/**
 * A bounded queue whose takers are called hottest first, and no more of them than there is need for.
 *
 *   put:   value in ── fewer than `processors` called and not yet come ─▶ call the sleeper with the lowest index
 *   take:  ASLEEP ── called ─▶ AWAKE ── value out ── more inside ─▶ call the next ── serve ── value out …  ── empty ─▶ ASLEEP
 *
 * With a turnstile the one that slept longest is woken for each value, so all take turns and each finds its caches cold.
 * Here a taker that comes calls the next itself: while takers only compute, as many run as there are processors, and one that
 * blocks lets the next one in at once.
 */

import type { BoundedQueue, TakeResult } from './bounded-queue.js'
import { deadlineAfter, remaining } from './deadline.js'

/** Takers that were called and have not come. Who calls adds, who comes subtracts. */
const PENDING = 0
/** Written once, before the cells are shared. */
const PROCESSORS = 1
/** One cell a taker, by its index: AWAKE, ASLEEP or CALLED. */
const TAKERS = 2

const AWAKE = 0
const ASLEEP = 1
const CALLED = 2

/** What a queue is to a thread that takes from it. */
export interface Source {
  take(timeoutMs?: number): TakeResult
  tryTake(): number | 'empty' | 'closed' | 'dismissed'
}

/** Hands values to threads, each of which has an index of its own; made by each thread on the same queue and cells. */
export class HotQueue {
  readonly #queue: BoundedQueue
  readonly #cells: Int32Array

  constructor(queue: BoundedQueue, cells: Int32Array) {
    this.#queue = queue
    this.#cells = cells
  }

  /** Makes the cells for takers with the indexes 0 to `takers` - 1, of whom `processors` can run at once. */
  static cells(takers: number, processors: number): Int32Array {
    const cells = new Int32Array(new SharedArrayBuffer((TAKERS + takers) * 4))
    cells[PROCESSORS] = processors
    return cells
  }

  /** Takers that sleep. Any thread. */
  get sleeping(): number {
    return this.#cells.subarray(TAKERS).reduce((count, state) => count + (state === ASLEEP ? 1 : 0), 0)
  }

  /** Puts a value, blocking while the queue is full; false where it is closed. Any thread. */
  put(value: number): boolean {
    const isIn = this.#queue.put(value) === 'put'
    this.#call()
    return isIn
  }

  /** Has one taker take 'dismissed': the coldest, unless another comes first. Any thread. */
  dismiss(): void {
    this.#queue.dismiss()
    for (let at = this.#cells.length - 1; at >= TAKERS; at--) if (this.#wake(at)) return
  }

  /** Closes the queue; takers drain what is left. Any thread. */
  close(): void {
    this.#queue.close()
    for (let at = TAKERS; at < this.#cells.length; at++) this.#wake(at)
  }

  /** The side of one taker, that thread's only. */
  taker(index: number): Source {
    return {
      tryTake: () => this.#queue.tryTake(),
      take: (timeoutMs = Number.POSITIVE_INFINITY) => this.#take(TAKERS + index, deadlineAfter(timeoutMs)),
    }
  }

  #take(at: number, deadline: number): TakeResult {
    for (;;) {
      Atomics.store(this.#cells, at, ASLEEP) // before the last look: who puts afterwards sees it
      let item = this.#queue.tryTake()
      if (item === 'empty') {
        Atomics.wait(this.#cells, at, ASLEEP, Math.max(0, remaining(deadline)))
        this.#arrive(at)
        item = this.#queue.tryTake()
      } else this.#arrive(at)
      if (item !== 'empty') {
        if (this.#queue.size > 0) this.#call()
        return item
      }
      if (remaining(deadline) <= 0) return 'timed out'
    }
  }

  #arrive(at: number): void {
    if (Atomics.exchange(this.#cells, at, AWAKE) === CALLED) Atomics.sub(this.#cells, PENDING, 1)
  }

  /** Enough that come call the next where there is more, so that no value is left lying. */
  #call(): void {
    if (Atomics.load(this.#cells, PENDING) >= this.#cells[PROCESSORS]) return
    for (let at = TAKERS; at < this.#cells.length; at++) if (this.#wake(at)) return
  }

  #wake(at: number): boolean {
    if (Atomics.load(this.#cells, at) !== ASLEEP) return false
    Atomics.add(this.#cells, PENDING, 1)
    if (Atomics.compareExchange(this.#cells, at, ASLEEP, CALLED) === ASLEEP) {
      Atomics.notify(this.#cells, at, 1)
      return true
    }
    Atomics.sub(this.#cells, PENDING, 1)
    return false
  }
}
