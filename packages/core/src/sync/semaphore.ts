/**
 * A counting semaphore: PERMITS is the count and the futex word at once, so a thread sleeps only while it is 0.
 *
 *   acquire:  PERMITS - 1 if it is above 0, else sleep while it is 0 and try again
 *   release:  PERMITS + n, and wake n threads if any waits
 */
import { deadlineAfter, remaining } from './deadline.js'
import { INT32_MAX, inRange } from './range.js'
import { receive, type Shared } from './shared.js'

/** Permits to be had, 0 or more. Any thread writes it, by compare-and-exchange. */
const PERMITS = 0
/** Threads inside the slow path of acquire(). Each adds and subtracts itself. */
const WAITING = 1
const CELLS = 2

/**
 * Hands out a limited number of permits; any thread may release what another acquired.
 *
 * @example
 * const slots = Semaphore.create(8)
 * slots.acquire(); try { work() } finally { slots.release() }
 */
export class Semaphore {
  readonly #cells: Int32Array

  private constructor(cells: Int32Array) {
    this.#cells = cells
  }

  /** Creates a semaphore with `permits` (0..2^31-1, default 0); throws RangeError for another number. Any thread. */
  static create(permits: number = 0): Semaphore {
    const cells = new Int32Array(new SharedArrayBuffer(4 * CELLS))
    cells[PERMITS] = inRange('permits', permits, 0, INT32_MAX)
    return new Semaphore(cells)
  }

  /** Opens the semaphore that another thread shared; throws TypeError for a descriptor of another kind. Any thread. */
  static from(shared: Shared): Semaphore {
    return new Semaphore(receive(shared, 'semaphore'))
  }

  /** Describes this semaphore for another thread. Any thread. */
  share(): Shared {
    return { kind: 'semaphore', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Tells how many permits are to be had at this moment. Any thread. */
  get available(): number {
    return Atomics.load(this.#cells, PERMITS)
  }

  /** Counts the threads that wait in acquire(). Any thread. */
  get waiting(): number {
    return Atomics.load(this.#cells, WAITING)
  }

  /**
   * Takes a permit, blocking up to `timeoutMs` (0 or more, default Infinity) while there is none; throws RangeError for
   * another timeout. Any thread.
   */
  acquire(timeoutMs: number = Infinity): 'acquired' | 'timed out' {
    const deadline = deadlineAfter(timeoutMs)
    return this.tryAcquire() || this.#acquireBefore(deadline) ? 'acquired' : 'timed out'
  }

  /** Takes a permit if there is one and tells whether it did, without blocking. Any thread. */
  tryAcquire(): boolean {
    let permits = this.available
    while (permits > 0) {
      // Success makes visible what the releasing thread wrote before its release.
      const seen = Atomics.compareExchange(this.#cells, PERMITS, permits, permits - 1)
      if (seen === permits) return true
      permits = seen
    }
    return false
  }

  /** Gives back `permits` (1..2^31-1, default 1); throws RangeError if the sum would exceed 2^31-1. Any thread. */
  release(permits: number = 1): void {
    inRange('permits', permits, 1, INT32_MAX)
    this.#add(permits)
    // Whoever counts itself in after this load finds the new permits before it sleeps.
    if (this.waiting > 0) Atomics.notify(this.#cells, PERMITS, permits)
  }

  #acquireBefore(deadline: number): boolean {
    // Tells releasers that a wake-up is needed, before the last look at PERMITS.
    Atomics.add(this.#cells, WAITING, 1)
    let acquired = this.tryAcquire()
    for (let left = remaining(deadline); !acquired && left > 0; left = remaining(deadline)) {
      Atomics.wait(this.#cells, PERMITS, 0, left)
      acquired = this.tryAcquire()
    }
    Atomics.sub(this.#cells, WAITING, 1)
    return acquired
  }

  #add(permits: number): void {
    for (let before = this.available; ; ) {
      inRange('the sum of permits', before + permits, 1, INT32_MAX)
      // Publishes what this thread wrote before to the thread that takes the permit.
      const seen = Atomics.compareExchange(this.#cells, PERMITS, before, before + permits)
      if (seen === before) return
      before = seen
    }
  }
}
