/**
 * A deque of 32-bit integers for work stealing: one owner at the bottom, any number of thieves at the top, no lock.
 *
 *                TOP                      BOTTOM
 *                 ▼                         ▼
 *   thieves ◀── │ 7 │ 8 │ 9 │ 10 │ 11 │ 12 │      ◀─▶ owner         (indexes grow without end; a slot is its index, masked)
 *   oldest first                       newest first
 *
 * The owner pushes and pops at BOTTOM, which it alone writes; a thief takes what is at TOP by moving it on with a
 * compare-and-exchange. Only for the last value do they compete, and then the owner takes it as a thief does.
 *
 * Memory order, after Lê et al.: two pairs of accesses must not change places, the owner's store of BOTTOM before its load of
 * TOP in pop(), and a thief's load of TOP before its load of BOTTOM in steal(). Otherwise both could take a value that is not
 * the last: the owner would not see how far thieves have come, nor they that it went below them. On ARM and POWER that takes
 * fences; operations of Atomics are sequentially consistent in one order over all cells, so neither pair can.
 *
 * Slots are read and written plainly. The store of BOTTOM in push() publishes the slot to whoever loads it. A thief may read a
 * slot that is overwritten meanwhile, but only once TOP has passed its index, and then its exchange fails and what it read is
 * dropped. If the exchange succeeds it precedes the owner's load of TOP, and so the write that uses the slot anew.
 *
 * ABA: TOP only ever grows, so it comes back to the same value after 2^32 values. A thief would have to stand still between
 * its load and its exchange, some ten instructions, for exactly that many, which takes minutes.
 *
 * Bounded: memory that threads share cannot be moved while they read it, as growing would (Chase and Lev leave the old array
 * to a garbage collector that sees all threads; there is none here). What does not fit the owner keeps: see push().
 *
 * See: Chase and Lev, "Dynamic Circular Work-Stealing Deque" (2005); Lê, Pop, Cohen and Zappa Nardelli, "Correct and Efficient
 * Work-Stealing for Weak Memory Models" (2013).
 */
import { INT32_MAX, INT32_MIN, inRange } from './range.js'
import { receive, type Shared } from './shared.js'

/** Index of the oldest value. Whoever takes that value adds one; nothing else changes it. */
const TOP = 0
/** Index after the newest value. The owner alone writes it. On a line of its own: thieves beat on TOP. */
const BOTTOM = 16
/** Written once, before the deque is shared. */
const CAPACITY = 32
const SLOTS = 48

const MAX_CAPACITY: number = 2 ** 24

/** What a thief gets: a value, or none: 'retry' says that another took what this one reached for, so there may be more. */
export type Stolen = number | 'empty' | 'retry'

/** The owner's side. One thread at a time; another may go on with the deque once that thread has ended. */
export interface DequeWorker {
  /**
   * Pushes a value (-2^31..2^31-1); false, with nothing changed, where the deque is full. Throws RangeError for another value.
   */
  push(value: number): boolean
  /** Pops the value that was pushed last. */
  pop(): number | 'empty'
  /** Values inside; thieves can but make it less. */
  readonly size: number
}

/** A thief's side. Any thread. */
export interface DequeStealer {
  /** Takes the value that was pushed first, without blocking. */
  steal(): Stolen
  /** Values inside at this moment. */
  readonly size: number
}

/**
 * Holds one worker's values where other threads can steal them.
 *
 * @example
 * const deque = WorkStealingDeque.create(1024)
 * const mine = deque.worker()                     // the owner: mine.push(task), mine.pop()
 * const theirs = other.stealer()                  // where nothing is left: theirs.steal()
 */
export class WorkStealingDeque {
  readonly #cells: Int32Array

  private constructor(cells: Int32Array) {
    this.#cells = cells
  }

  /** Creates an empty deque for `capacity` values (1..2^24); throws RangeError for another number. Any thread. */
  static create(capacity: number): WorkStealingDeque {
    inRange('capacity', capacity, 1, MAX_CAPACITY)
    const slots = 2 ** Math.ceil(Math.log2(capacity)) // indexes wrap at 2^32, which only a power of two divides
    const cells = new Int32Array(new SharedArrayBuffer(4 * (SLOTS + slots)))
    cells[CAPACITY] = capacity
    return new WorkStealingDeque(cells)
  }

  /** Opens the deque that another thread shared; throws TypeError for a descriptor of another kind. Any thread. */
  static from(shared: Shared): WorkStealingDeque {
    return new WorkStealingDeque(receive(shared, 'work-stealing-deque'))
  }

  /** Describes this deque for another thread. Any thread. */
  share(): Shared {
    return { kind: 'work-stealing-deque', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Gives the owner's side. The owner only, or its successor after its end. */
  worker(): DequeWorker {
    return new Worker(this.#cells)
  }

  /** Gives a thief's side. Any thread. */
  stealer(): DequeStealer {
    return new Stealer(this.#cells)
  }

  /** Tells how many values are inside at most. Any thread. */
  get capacity(): number {
    return this.#cells[CAPACITY]
  }

  /** Tells how many values are inside at this moment. Any thread. */
  get size(): number {
    return sizeOf(this.#cells)
  }
}

class Worker implements DequeWorker {
  readonly #cells: Int32Array
  readonly #capacity: number
  readonly #mask: number
  /** TOP as it was last seen: it only grows, so whoever finds room by this one has it. */
  #top: number

  constructor(cells: Int32Array) {
    this.#cells = cells
    this.#capacity = cells[CAPACITY]
    this.#mask = cells.length - SLOTS - 1
    this.#top = Atomics.load(cells, TOP)
  }

  get size(): number {
    return sizeOf(this.#cells)
  }

  push(value: number): boolean {
    if (value !== (value | 0)) inRange('value', value, INT32_MIN, INT32_MAX)
    const cells = this.#cells
    const bottom = cells[BOTTOM]
    if (((bottom - this.#top) | 0) >= this.#capacity) {
      this.#top = Atomics.load(cells, TOP) // thieves have read the slots below it for the last time that counts
      if (((bottom - this.#top) | 0) >= this.#capacity) return false
    }
    cells[SLOTS + (bottom & this.#mask)] = value
    Atomics.store(cells, BOTTOM, (bottom + 1) | 0) // publishes the slot to thieves
    return true
  }

  pop(): number | 'empty' {
    const cells = this.#cells
    if (cells[BOTTOM] === Atomics.load(cells, TOP)) return 'empty' // and stays so: thieves put nothing in
    const bottom = (cells[BOTTOM] - 1) | 0
    Atomics.store(cells, BOTTOM, bottom) // tells thieves that come from here on that the value is taken
    const top = Atomics.load(cells, TOP) // shows the thieves that came before
    this.#top = top
    const older = (bottom - top) | 0
    if (older > 0) return cells[SLOTS + (bottom & this.#mask)]
    let value: number | 'empty' = 'empty'
    if (older === 0) {
      // The last: a thief may have seen BOTTOM as it was, so TOP decides whose it is.
      value = cells[SLOTS + (bottom & this.#mask)]
      if (Atomics.compareExchange(cells, TOP, top, (top + 1) | 0) !== top) value = 'empty'
    }
    Atomics.store(cells, BOTTOM, (bottom + 1) | 0) // empty again: TOP is there by now, moved by a thief or by us
    return value
  }
}

class Stealer implements DequeStealer {
  readonly #cells: Int32Array
  readonly #mask: number

  constructor(cells: Int32Array) {
    this.#cells = cells
    this.#mask = cells.length - SLOTS - 1
  }

  get size(): number {
    return sizeOf(this.#cells)
  }

  steal(): Stolen {
    const cells = this.#cells
    const top = Atomics.load(cells, TOP) // before BOTTOM, or the owner could have popped in between what we would take
    const bottom = Atomics.load(cells, BOTTOM) // makes the slots below it visible
    if (((bottom - top) | 0) <= 0) return 'empty'
    const value = cells[SLOTS + (top & this.#mask)] // before the exchange: afterwards the slot may be used anew
    return Atomics.compareExchange(cells, TOP, top, (top + 1) | 0) === top ? value : 'retry'
  }
}

/** Two loads, between which others may push and take, and pop() is below TOP for an instant: hence the bounds. */
function sizeOf(cells: Int32Array): number {
  const size = (Atomics.load(cells, BOTTOM) - Atomics.load(cells, TOP)) | 0
  return Math.max(0, Math.min(size, cells[CAPACITY]))
}
