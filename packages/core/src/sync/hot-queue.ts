/**
 * A bounded queue whose takers are called hottest first, and of whom only as many run as there are processors: what the
 * concurrency value of a completion port is to its threads.
 *
 *   put:   value in ── fewer than `processors` run ─▶ call the sleeper with the lowest index
 *   take:  ASLEEP ── called ─▶ AWAKE ── value out ── serve ── value out …  ── empty ─▶ ASLEEP
 *                                         ╰─ rests ─▶ RESTING: the next may run ── resumes ─▶ AWAKE
 *
 * With a turnstile the one that slept longest is woken for each value, so all take turns and each finds its caches cold. Here a
 * value waits for a taker that runs rather than wake another for it. A taker that blocks without a word is noticed by whoever
 * puts: it sees values lie there for a while ({@link HotQueue.review}), or finds the queue full.
 */

import type { BoundedQueue, QueueStatistics, TakeResult } from './bounded-queue.js'
import { deadlineAfter, remaining } from './deadline.js'

/** Takers that run: they are awake, or called, and do not rest. By atomic adds; any thread. */
const RUNNING = 0
/** How many are to run. Whoever relents or tightens writes it. */
const LIMIT = 1
/** Written once, before the cells are shared. */
const PROCESSORS = 2
/** One past the cell of the highest taker that ever came: what is beyond it need not be looked through. Takers raise it. */
const END = 3
/** One cell a taker, by its index. Takers write their own, others only ASLEEP to CALLED, and what a dead one left. */
const TAKERS = 4

const ABSENT = 0
const AWAKE = 1
const ASLEEP = 2
const CALLED = 3
const RESTING = 4

/** Milliseconds after which more takers yet are let run where a queue stays full. */
const FULL_MS = 10

/** What a queue is to a thread that takes from it. */
export interface Source {
  take(timeoutMs?: number): TakeResult
  tryTake(): number | 'empty' | 'closed' | 'dismissed'
}

/** Hands values to threads, each of which has an index of its own; made by each thread on the same queue and cells. */
export class HotQueue {
  readonly #queue: BoundedQueue
  readonly #cells: Int32Array
  /** How many values had been put at the last review, and when that was. */
  #marked = 0
  #markedAt = 0

  constructor(queue: BoundedQueue, cells: Int32Array) {
    this.#queue = queue
    this.#cells = cells
  }

  /** Makes the cells for takers with the indexes 0 to `takers` - 1, of whom `processors` can run at once. */
  static cells(takers: number, processors: number): Int32Array {
    const cells = new Int32Array(new SharedArrayBuffer((TAKERS + takers) * 4))
    cells[LIMIT] = cells[PROCESSORS] = processors
    cells[END] = TAKERS
    return cells
  }

  /** Takers that sleep. Any thread. */
  get sleeping(): number {
    return this.#cells.subarray(TAKERS, this.#end).reduce((count, state) => count + (state === ASLEEP ? 1 : 0), 0)
  }

  /** Values that wait. Any thread. */
  get size(): number {
    return this.#queue.size
  }

  /** Reads the counts of one moment. Any thread. */
  statistics(): QueueStatistics {
    return this.#queue.statistics()
  }

  /** Puts a value, blocking while the queue is full; false where it is closed. Any thread. */
  put(value: number): boolean {
    if (this.#queue.tryPut(value) !== 'put') return this.putMany(Int32Array.of(value), 1) === 1
    this.#call()
    return true
  }

  /** Puts the first `count` values in order, blocking while the queue is full; tells how many went in before it was closed. Any thread. */
  putMany(values: Int32Array, count: number): number {
    let put = this.#queue.putMany(values, count, 0)
    this.#call()
    while (put < count && !this.#queue.closed) {
      this.relent() // full: those that run are blocked
      put += this.#queue.putMany(values.subarray(put), count - put, FULL_MS)
      this.#call() // whoever made room may sleep by now
    }
    return put
  }

  /**
   * Looks, once `patience` ms have passed since the last time, whether values have waited since: then as many more are let run as
   * there are processors, else one fewer. True where they have waited. Of the threads that put one or more, each by itself.
   */
  review(now: number, patience: number): boolean {
    if (((now - this.#markedAt) | 0) < patience) return false
    const { put, taken } = this.#queue.statistics()
    const haveWaited = taken < this.#marked
    this.#marked = put
    this.#markedAt = now
    if (haveWaited) this.relent()
    else this.tighten()
    return haveWaited
  }

  /** True where values wait and not all takers run: they should be reviewed before long. Any thread. */
  get isHeldBack(): boolean {
    return this.#queue.size > 0 && Atomics.load(this.#cells, RUNNING) < this.#end - TAKERS
  }

  /** Lets as many more run as there are processors: values have waited, so those that run are blocked. Any thread. */
  relent(): void {
    const cells = this.#cells
    cells[LIMIT] = Atomics.load(cells, RUNNING) + cells[PROCESSORS]
    this.#call()
  }

  /** Lets one fewer run, down to the number of processors: values do not wait. Any thread. */
  tighten(): void {
    const cells = this.#cells
    cells[LIMIT] = Math.max(cells[PROCESSORS], Math.min(cells[LIMIT], Atomics.load(cells, RUNNING)) - 1)
  }

  /** Has one taker take 'dismissed': the coldest, unless another comes first. Any thread. */
  dismiss(): void {
    this.#queue.dismiss()
    for (let at = this.#end - 1; at >= TAKERS; at--) if (this.#wake(at)) return
  }

  /** Closes the queue; takers drain what is left. Any thread. */
  close(): void {
    this.#queue.close()
    for (let at = TAKERS; at < this.#end; at++) this.#wake(at)
  }

  /** Settles what a taker that died had begun; another may have its index. Any thread, once it is dead. */
  forget(index: number): void {
    const state = Atomics.exchange(this.#cells, TAKERS + index, ABSENT)
    if (state !== AWAKE && state !== CALLED) return
    Atomics.sub(this.#cells, RUNNING, 1)
    this.#call() // for the value it was called for
  }

  /** The side of one taker, that thread's only. */
  taker(index: number): Taker {
    this.forget(index)
    return new Taker(this.#queue, this.#cells, TAKERS + index, () => this.#call())
  }

  /** Calls one sleeper, if there is something to take and fewer run than may. */
  #call(): void {
    if (this.#queue.size === 0 || Atomics.load(this.#cells, RUNNING) >= this.#cells[LIMIT]) return
    const end = this.#end
    for (let at = TAKERS; at < end; at++) if (this.#wake(at)) return
  }

  get #end(): number {
    return Atomics.load(this.#cells, END)
  }

  #wake(at: number): boolean {
    if (Atomics.load(this.#cells, at) !== ASLEEP) return false
    Atomics.add(this.#cells, RUNNING, 1)
    if (Atomics.compareExchange(this.#cells, at, ASLEEP, CALLED) === ASLEEP) {
      Atomics.notify(this.#cells, at, 1)
      return true
    }
    Atomics.sub(this.#cells, RUNNING, 1)
    return false
  }
}

/** One thread's side of a {@link HotQueue}. Owner thread only. */
export class Taker implements Source {
  readonly #queue: BoundedQueue
  readonly #cells: Int32Array
  readonly #at: number
  readonly #call: () => void

  constructor(queue: BoundedQueue, cells: Int32Array, at: number, call: () => void) {
    this.#queue = queue
    this.#cells = cells
    this.#at = at
    this.#call = call
    this.#extend()
    this.#runs(AWAKE)
  }

  /** Takes a value if there is one, without blocking. */
  tryTake(): number | 'empty' | 'closed' | 'dismissed' {
    return this.#queue.tryTake()
  }

  /** Takes a value, blocking up to `timeoutMs` (0 or more, default Infinity) while there is none. */
  take(timeoutMs: number = Number.POSITIVE_INFINITY): TakeResult {
    const deadline = deadlineAfter(timeoutMs)
    for (;;) {
      this.#pauses(ASLEEP) // before the last look: who puts afterwards sees it
      let item = this.#queue.tryTake()
      if (item === 'empty') {
        Atomics.wait(this.#cells, this.#at, ASLEEP, Math.max(0, remaining(deadline)))
        this.#runs(AWAKE)
        item = this.#queue.tryTake()
      } else this.#runs(AWAKE)
      if (item !== 'empty') {
        this.#call() // where there is more than this one
        return item
      }
      if (remaining(deadline) <= 0) return 'timed out'
    }
  }

  /** The thread waits for something else: another may run. */
  rests(): void {
    this.#pauses(RESTING)
    this.#call()
  }

  /** It goes on, however many others run. */
  resumes(): void {
    this.#runs(AWAKE)
  }

  /** The thread takes no more. */
  leave(): void {
    this.#pauses(ABSENT)
    this.#call()
  }

  #extend(): void {
    for (;;) {
      const end = Atomics.load(this.#cells, END)
      if (end > this.#at || Atomics.compareExchange(this.#cells, END, end, this.#at + 1) === end) return
    }
  }

  #pauses(state: number): void {
    Atomics.store(this.#cells, this.#at, state)
    Atomics.sub(this.#cells, RUNNING, 1) // from here on another is called
  }

  /** One that was called is counted already. */
  #runs(state: number): void {
    if (Atomics.exchange(this.#cells, this.#at, state) !== CALLED) Atomics.add(this.#cells, RUNNING, 1)
  }
}
