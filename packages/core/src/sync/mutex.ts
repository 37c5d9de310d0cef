/**
 * A mutex in one cell of shared memory.
 *
 *   FREE ── lock ──▶ HELD ── another lock ──▶ CONTENDED        unlock makes it FREE, and wakes one thread if CONTENDED
 *
 * Taking and leaving a free mutex costs one atomic operation each and no system call. It is not fair: a thread that
 * runs may take it before one that was just woken.
 *
 * See: Drepper, "Futexes Are Tricky" (2011), mutex2.
 */
import { receive, type Shared } from './shared.js'

const FREE = 0
const HELD = 1
const CONTENDED = 2

/** Looks taken before sleeping: about as long as a short critical section on another core. */
const SPINS = 100

const STATE = 0
const CELLS = 1

/** Takes the mutex in `cells[at]`, for structures that carry one inside. */
export function lock(cells: Int32Array, at: number): void {
  // Taking it makes everything the last holder wrote visible to this thread.
  if (Atomics.compareExchange(cells, at, FREE, HELD) !== FREE) lockContended(cells, at)
}

/** Takes the mutex in `cells[at]` if it is free. */
export function tryLock(cells: Int32Array, at: number): boolean {
  return Atomics.compareExchange(cells, at, FREE, HELD) === FREE
}

/** Leaves the mutex in `cells[at]` and wakes one thread that sleeps on it; throws if nobody holds it. */
export function unlock(cells: Int32Array, at: number): void {
  // Leaving it publishes everything this thread wrote to whoever takes it next.
  const was = Atomics.exchange(cells, at, FREE)
  if (was === CONTENDED) Atomics.notify(cells, at, 1)
  else if (was === FREE) throw new Error('this mutex is not locked: unlock() must follow a lock() of the same thread')
}

function lockContended(cells: Int32Array, at: number): void {
  // The load only looks, so that a spinning thread does not take the cache line from the holder.
  for (let spin = 0; spin < SPINS; spin++) if (Atomics.load(cells, at) === FREE && tryLock(cells, at)) return
  // CONTENDED tells the holder that somebody sleeps; it may tell so once too often, never once too seldom.
  while (Atomics.exchange(cells, at, CONTENDED) !== FREE) Atomics.wait(cells, at, CONTENDED)
}

/**
 * Lets one thread at a time into a critical section. It does not know its owner: locking it twice on one thread blocks
 * that thread for ever.
 *
 * @example
 * const mutex = Mutex.create()
 * mutex.with(() => { total[0] += 1 })
 */
export class Mutex {
  readonly #cells: Int32Array

  private constructor(cells: Int32Array) {
    this.#cells = cells
  }

  /** Creates a free mutex. Any thread. */
  static create(): Mutex {
    return new Mutex(new Int32Array(new SharedArrayBuffer(4 * CELLS)))
  }

  /** Opens the mutex that another thread shared; throws TypeError for a descriptor of another kind. Any thread. */
  static from(shared: Shared): Mutex {
    return new Mutex(receive(shared, 'mutex'))
  }

  /** Describes this mutex for another thread. Any thread. */
  share(): Shared {
    return { kind: 'mutex', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Blocks until the mutex is free and takes it. Any thread that does not hold it. */
  lock(): void {
    lock(this.#cells, STATE)
  }

  /** Takes the mutex if it is free and tells whether it did, without blocking. Any thread. */
  tryLock(): boolean {
    return tryLock(this.#cells, STATE)
  }

  /** Leaves the mutex; throws if it is not locked. The holder only. */
  unlock(): void {
    unlock(this.#cells, STATE)
  }

  /**
   * Runs `section`, which must be synchronous, while holding the mutex, and returns its result. Any thread that does
   * not hold it.
   */
  with<T>(section: () => T): T {
    this.lock()
    try {
      return section()
    } finally {
      this.unlock()
    }
  }
}
