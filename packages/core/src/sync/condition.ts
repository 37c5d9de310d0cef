/**
 * A condition variable: a count of notifications, and a count of the threads that wait for the next one.
 *
 *   waiter:    reads SEQUENCE while it holds the mutex ── unlocks ── sleeps while SEQUENCE is still that ── locks
 *   notifier:  changes what is waited for, holding the mutex ── SEQUENCE + 1 ── wakes
 *
 * A notification between the unlock and the sleep changes SEQUENCE, so the waiter does not sleep: none is lost. (Only
 * exactly 2^32 of them within that instant would look like none.)
 */
import { deadlineAfter, remaining } from './deadline.js'
import type { Mutex } from './mutex.js'
import { receive, type Shared } from './shared.js'

/** Grows by one with each notification. Any thread writes it, by an atomic add. */
const SEQUENCE = 0
/** Threads inside wait(). Each adds and subtracts itself. */
const WAITING = 1
const CELLS = 2

/**
 * Lets threads that hold a mutex wait until what they look for has become true. As with any condition variable a waiter
 * may wake for nothing: look again in a loop.
 *
 * @example
 * mutex.with(() => { while (!ready()) changed.wait(mutex) })
 */
export class Condition {
  readonly #cells: Int32Array

  private constructor(cells: Int32Array) {
    this.#cells = cells
  }

  /** Creates a condition that nobody waits for. Any thread. */
  static create(): Condition {
    return new Condition(new Int32Array(new SharedArrayBuffer(4 * CELLS)))
  }

  /** Opens the condition that another thread shared; throws TypeError for a descriptor of another kind. Any thread. */
  static from(shared: Shared): Condition {
    return new Condition(receive(shared, 'condition'))
  }

  /** Describes this condition for another thread. Any thread. */
  share(): Shared {
    return { kind: 'condition', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Counts the threads inside wait(). Any thread. */
  get waiting(): number {
    return Atomics.load(this.#cells, WAITING)
  }

  /**
   * Unlocks `mutex`, blocks until notified or until `timeoutMs` (0 or more, default Infinity) has passed, and locks it
   * again; throws RangeError for another timeout, and Error if the mutex is not locked. The holder of the mutex only.
   */
  wait(mutex: Mutex, timeoutMs: number = Infinity): 'notified' | 'timed out' {
    const outcome = this.#sleep(mutex, deadlineAfter(timeoutMs))
    mutex.lock()
    return outcome === 'timed-out' ? 'timed out' : 'notified'
  }

  /**
   * Wakes the thread that has waited longest, if any does. Any thread that holds the mutex, or held it for its change.
   */
  notifyOne(): void {
    this.#notify(1)
  }

  /** Wakes every thread that waits. Any thread that holds the mutex, or held it for its change. */
  notifyAll(): void {
    this.#notify(Infinity)
  }

  #sleep(mutex: Mutex, deadline: number): 'ok' | 'not-equal' | 'timed-out' {
    // Counted before the mutex is left, so a notifier that holds it afterwards sees that somebody waits.
    Atomics.add(this.#cells, WAITING, 1)
    try {
      // Read before the mutex is left, so no notification after that goes unseen.
      const sequence = Atomics.load(this.#cells, SEQUENCE)
      mutex.unlock()
      return Atomics.wait(this.#cells, SEQUENCE, sequence, Math.max(0, remaining(deadline)))
    } finally {
      Atomics.sub(this.#cells, WAITING, 1)
    }
  }

  #notify(threads: number): void {
    if (this.waiting === 0) return
    // Tells a waiter that has not fallen asleep yet not to.
    Atomics.add(this.#cells, SEQUENCE, 1)
    Atomics.notify(this.#cells, SEQUENCE, threads)
  }
}
