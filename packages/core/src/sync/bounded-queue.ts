/**
 * A blocking first-in, first-out queue of 32-bit integers (file descriptors, slots, indexes) between threads.
 *
 *   putters ── wait while full ──▶ │ HEAD … TAIL │ ──▶ wait while empty ── takers
 *                                                            (dismiss: one taker goes away with nothing)
 *
 * One lock guards everything, held for a few stores. A put wakes one sleeping taker, or none if all are awake: a busy
 * queue makes no system call. The header fills one cache line, so handing over the lock hands over the state with it.
 */
import { advance, COUNTER_CELLS, total } from './counter.js'
import { deadlineAfter } from './deadline.js'
import { lock, unlock } from './mutex.js'
import { INT32_MAX, INT32_MIN, inRange } from './range.js'
import { receive, type Shared } from './shared.js'
import { call, idle, park, TURNSTILE_CELLS, wake } from './turnstile.js'

/** Guards every other cell; those that are read without it are read for statistics. */
const LOCK = 0
const TAKERS = 1
const PUTTERS: number = TAKERS + TURNSTILE_CELLS
/** Counts what was put; its low word, masked, is the next slot to fill. */
const TAIL: number = PUTTERS + TURNSTILE_CELLS
/** Counts what was taken; its low word, masked, is the next slot to empty. */
const HEAD: number = TAIL + COUNTER_CELLS
/** The most values that were ever inside at once. */
const HIGH_WATER: number = HEAD + COUNTER_CELLS
/** 0 while open, 1 for ever after close(). */
const CLOSED: number = HIGH_WATER + 1
/** Written once, before the queue is shared. */
const CAPACITY: number = CLOSED + 1
/** Takers that are still to be dismissed. */
const DISMISSALS: number = CAPACITY + 1
const SLOTS = 16

const MAX_CAPACITY: number = 2 ** 24

/** Whether the value was put; if not, why, and the caller still has it. */
export type PutResult = 'put' | 'closed' | 'timed out'
/**
 * The value taken, or why there is none: 'closed' means that none will ever come, 'dismissed' that this taker, and no other, is
 * to take no more.
 */
export type TakeResult = number | 'closed' | 'dismissed' | 'timed out'

export interface QueueStatistics {
  /** Values put since the queue was created. */
  readonly put: number
  /** Values taken since the queue was created. */
  readonly taken: number
  /** The most values that were ever inside at once. */
  readonly highWater: number
}

/**
 * Hands signed 32-bit values from threads to threads, in order, blocking putters while it is full and takers while it
 * is empty.
 *
 * @example
 * const queue = BoundedQueue.create(1024)
 * queue.put(fd)                        // acceptor
 * for (const fd of queue) serve(fd)    // worker; ends when the queue is closed and drained
 */
export class BoundedQueue {
  readonly #cells: Int32Array
  readonly #capacity: number
  readonly #mask: number

  private constructor(cells: Int32Array) {
    this.#cells = cells
    this.#capacity = cells[CAPACITY]
    this.#mask = cells.length - SLOTS - 1
  }

  /** Creates an empty queue for `capacity` values (1..2^24); throws RangeError for another number. Any thread. */
  static create(capacity: number): BoundedQueue {
    inRange('capacity', capacity, 1, MAX_CAPACITY)
    const cells = new Int32Array(new SharedArrayBuffer(4 * (SLOTS + powerOfTwoFrom(capacity))))
    cells[CAPACITY] = capacity
    return new BoundedQueue(cells)
  }

  /** Opens the queue that another thread shared; throws TypeError for a descriptor of another kind. Any thread. */
  static from(shared: Shared): BoundedQueue {
    return new BoundedQueue(receive(shared, 'bounded-queue'))
  }

  /** Describes this queue for another thread. Any thread. */
  share(): Shared {
    return { kind: 'bounded-queue', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /**
   * Puts a value (-2^31..2^31-1), blocking up to `timeoutMs` (0 or more, default Infinity) while the queue is full;
   * throws RangeError for another value or timeout. Any thread.
   */
  put(value: number, timeoutMs: number = Infinity): PutResult {
    if (value !== (value | 0)) inRange('value', value, INT32_MIN, INT32_MAX)
    const outcome = this.#lockWithRoom(deadlineAfter(timeoutMs))
    if (outcome !== 'locked') return outcome
    this.#append(value)
    this.#unlockAfterPut(1)
    return 'put'
  }

  /**
   * Puts a value (-2^31..2^31-1) if there is room, without blocking; throws RangeError for another value. Any thread.
   */
  tryPut(value: number): 'put' | 'full' | 'closed' {
    const outcome = this.put(value, 0)
    return outcome === 'timed out' ? 'full' : outcome
  }

  /**
   * Puts the first `count` of `values` (default all) in order and returns how many went in: all of them, unless the
   * queue was closed or stayed full for `timeoutMs` (0 or more, default Infinity). What fits goes in under one lock,
   * with one notification; values of other putters may come between what fits and the rest. Throws RangeError for a
   * count outside 0..values.length or another timeout. Any thread.
   */
  putMany(values: Int32Array, count: number = values.length, timeoutMs: number = Infinity): number {
    inRange('count', count, 0, values.length)
    const deadline = deadlineAfter(timeoutMs)
    let put = 0
    while (put < count && this.#lockWithRoom(deadline) === 'locked') {
      const end = put + Math.min(count - put, this.#room())
      const fitting = end - put
      while (put < end) this.#append(values[put++])
      this.#unlockAfterPut(fitting)
    }
    return put
  }

  /**
   * Takes the oldest value, blocking up to `timeoutMs` (0 or more, default Infinity) while the queue is empty; returns
   * 'closed' once it is closed and drained, and 'dismissed' if that was called for; throws RangeError for another timeout.
   * Any thread.
   */
  take(timeoutMs: number = Infinity): TakeResult {
    const outcome = this.#lockWithValue(deadlineAfter(timeoutMs))
    if (outcome !== 'locked') return outcome
    const value = this.#cells[SLOTS + (this.#cells[HEAD] & this.#mask)]
    advance(this.#cells, HEAD, 1)
    this.#unlockAfterTake()
    return value
  }

  /** Takes the oldest value if there is one, without blocking. Any thread. */
  tryTake(): number | 'empty' | 'closed' | 'dismissed' {
    const outcome = this.take(0)
    return outcome === 'timed out' ? 'empty' : outcome
  }

  /**
   * Takes up to `count` of the oldest values, in order, into the start of `into`, under one lock and without blocking; returns
   * how many. Throws RangeError for a count outside 0..into.length. Any thread.
   */
  tryTakeMany(into: Int32Array, count: number = into.length): number {
    inRange('count', count, 0, into.length)
    const cells = this.#cells
    lock(cells, LOCK)
    const taken = Math.min(count, this.#capacity - this.#room())
    for (let i = 0; i < taken; i++) into[i] = cells[SLOTS + ((cells[HEAD] + i) & this.#mask)]
    advance(cells, HEAD, taken)
    const putters = call(cells, PUTTERS, taken)
    unlock(cells, LOCK)
    wake(cells, PUTTERS, putters)
    return taken
  }

  /** Yields what take() returns, blocking, until the queue is closed and drained. Any thread. */
  *[Symbol.iterator](): Generator<number, void, undefined> {
    for (let value = this.take(); typeof value === 'number'; value = this.take()) yield value
  }

  /** Has one taker, the first to come or one that waits, take 'dismissed'; values stay for the others. Any thread. */
  dismiss(): void {
    lock(this.#cells, LOCK)
    this.#cells[DISMISSALS]++
    const takers = call(this.#cells, TAKERS, 1)
    unlock(this.#cells, LOCK)
    wake(this.#cells, TAKERS, takers)
  }

  /** Closes the queue: every later put is refused, takers drain what is left, all that wait are woken. Any thread. */
  close(): void {
    lock(this.#cells, LOCK)
    this.#cells[CLOSED] = 1
    const takers = call(this.#cells, TAKERS, Infinity)
    const putters = call(this.#cells, PUTTERS, Infinity)
    unlock(this.#cells, LOCK)
    wake(this.#cells, TAKERS, takers)
    wake(this.#cells, PUTTERS, putters)
  }

  /** Tells whether close() was called. Any thread. */
  get closed(): boolean {
    return Atomics.load(this.#cells, CLOSED) === 1
  }

  /** Tells how many values are inside at most. Any thread. */
  get capacity(): number {
    return this.#capacity
  }

  /** Tells how many values are inside at this moment. Any thread. */
  get size(): number {
    // Two loads, between which others may put and take: hence the bounds.
    const size = (Atomics.load(this.#cells, TAIL) - Atomics.load(this.#cells, HEAD)) | 0
    return Math.max(0, Math.min(size, this.#capacity))
  }

  /** Counts the threads that sleep in take() and have not been called. Any thread. */
  get waitingTakers(): number {
    return idle(this.#cells, TAKERS)
  }

  /** Counts the threads that sleep in put() or putMany() and have not been called. Any thread. */
  get waitingPutters(): number {
    return idle(this.#cells, PUTTERS)
  }

  /** Reads the counts of one moment. Any thread. */
  statistics(): QueueStatistics {
    lock(this.#cells, LOCK)
    const put = total(this.#cells, TAIL)
    const taken = total(this.#cells, HEAD)
    const highWater = this.#cells[HIGH_WATER]
    unlock(this.#cells, LOCK)
    return { put, taken, highWater }
  }

  /** Returns with the lock held and room for a value, or else with neither. */
  #lockWithRoom(deadline: number): 'locked' | 'closed' | 'timed out' {
    const cells = this.#cells
    lock(cells, LOCK)
    while (cells[CLOSED] === 0) {
      if (this.#room() > 0) return 'locked'
      if (!park(cells, PUTTERS, LOCK, deadline)) return this.#unlockWith('timed out')
    }
    return this.#unlockWith('closed')
  }

  /** Returns with the lock held and a value inside, or else with neither. */
  #lockWithValue(deadline: number): 'locked' | 'closed' | 'dismissed' | 'timed out' {
    const cells = this.#cells
    lock(cells, LOCK)
    for (;;) {
      if (cells[DISMISSALS] > 0) return this.#unlockDismissed()
      if (cells[TAIL] !== cells[HEAD]) return 'locked'
      if (cells[CLOSED] === 1) return this.#unlockWith('closed')
      if (!park(cells, TAKERS, LOCK, deadline)) return this.#unlockWith('timed out')
    }
  }

  /** Goes with nothing, and calls another taker if there is a value: this one may have been called for it. */
  #unlockDismissed(): 'dismissed' {
    const cells = this.#cells
    cells[DISMISSALS]--
    const takers = cells[TAIL] === cells[HEAD] ? 0 : call(cells, TAKERS, 1)
    unlock(cells, LOCK)
    wake(cells, TAKERS, takers)
    return 'dismissed'
  }

  #unlockWith<T>(outcome: T): T {
    unlock(this.#cells, LOCK)
    return outcome
  }

  #room(): number {
    return this.#capacity - ((this.#cells[TAIL] - this.#cells[HEAD]) | 0)
  }

  #append(value: number): void {
    this.#cells[SLOTS + (this.#cells[TAIL] & this.#mask)] = value
    advance(this.#cells, TAIL, 1)
  }

  #unlockAfterPut(count: number): void {
    const cells = this.#cells
    const size = this.#capacity - this.#room()
    if (size > cells[HIGH_WATER]) cells[HIGH_WATER] = size
    const takers = call(cells, TAKERS, count)
    unlock(cells, LOCK)
    wake(cells, TAKERS, takers)
  }

  #unlockAfterTake(): void {
    const putters = call(this.#cells, PUTTERS, 1)
    unlock(this.#cells, LOCK)
    wake(this.#cells, PUTTERS, putters)
  }
}

/**
 * The low words of TAIL and HEAD wrap at 2^32, which only a power of two divides: so many slots, not all of them used.
 */
function powerOfTwoFrom(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(capacity))
}
