/**
 * Timers in a binary heap, the earliest at its root: to look at it costs nothing, to set or cancel one the logarithm of how many
 * there are (Cormen et al., ch. 6). Timers due at the same time run in the order in which they were set.
 */

/** A timer that was set. */
export interface Timer {
  /** When it is due, on the clock of performance.now(). */
  readonly due: number
  /** False once it ran for the last time or was cancelled. */
  readonly active: boolean
}

class Entry implements Timer {
  due: number
  order: number
  /** Where it stands in the heap; -1 where it does not. */
  index = -1
  readonly every: number
  readonly callback: () => void

  constructor(due: number, order: number, every: number, callback: () => void) {
    this.due = due
    this.order = order
    this.every = every
    this.callback = callback
  }

  get active(): boolean {
    return this.index >= 0
  }

  isBefore(other: Entry): boolean {
    return this.due < other.due || (this.due === other.due && this.order < other.order)
  }
}

/** Owner thread only. */
export class TimerHeap {
  readonly #heap: Entry[] = []
  #order = 0

  get size(): number {
    return this.#heap.length
  }

  /** When the next timer is due; Infinity where there is none. */
  get next(): number {
    return this.#heap.length === 0 ? Number.POSITIVE_INFINITY : this.#heap[0].due
  }

  /** Sets a timer that is due at a time, and then again and again `every` so many ms, 0 for once. */
  set(due: number, every: number, callback: () => void): Timer {
    const entry = new Entry(due, this.#order++, every, callback)
    this.#insert(entry)
    return entry
  }

  /** Cancels a timer; false where it is not set any more. */
  cancel(timer: Timer): boolean {
    const entry = timer as Entry
    if (this.#heap[entry.index] !== entry) return false
    this.#remove(entry)
    return true
  }

  /**
   * Has timers run (by `call`) that are due at `now`, the earliest first, at most so many; returns how many ran. One that is set
   * meanwhile, or repeats, does not run for the same `now`.
   */
  run(now: number, most: number, call: (callback: () => void) => void): number {
    const newcomer = this.#order
    let ran = 0
    while (ran < most && this.#heap.length > 0) {
      const [entry] = this.#heap
      if (entry.due > now || entry.order >= newcomer) break
      this.#remove(entry)
      if (entry.every > 0) this.#repeat(entry, now)
      ran++
      call(entry.callback)
    }
    return ran
  }

  clear(): void {
    for (const entry of this.#heap.splice(0)) entry.index = -1
  }

  /** The next time of its beat that is still to come: beats that a busy thread missed are not made up for. */
  #repeat(entry: Entry, now: number): void {
    const missed = Math.floor((now - entry.due) / entry.every)
    entry.due += (missed + 1) * entry.every
    entry.order = this.#order++
    this.#insert(entry)
  }

  #insert(entry: Entry): void {
    this.#heap.push(entry)
    this.#rise(entry, this.#heap.length - 1)
  }

  #remove(entry: Entry): void {
    const { index } = entry
    const last = this.#heap.pop()!
    entry.index = -1
    if (last === entry) return
    this.#rise(last, index)
    this.#sink(last)
  }

  #rise(entry: Entry, from: number): void {
    let index = from
    while (index > 0) {
      const parent = this.#heap[(index - 1) >> 1]
      if (!entry.isBefore(parent)) break
      this.#place(parent, index)
      index = (index - 1) >> 1
    }
    this.#place(entry, index)
  }

  #sink(entry: Entry): void {
    let { index } = entry
    for (let child = 2 * index + 1; child < this.#heap.length; child = 2 * index + 1) {
      if (child + 1 < this.#heap.length && this.#heap[child + 1].isBefore(this.#heap[child])) child++
      if (!this.#heap[child].isBefore(entry)) break
      this.#place(this.#heap[child], index)
      index = child
    }
    this.#place(entry, index)
  }

  #place(entry: Entry, index: number): void {
    this.#heap[index] = entry
    entry.index = index
  }
}
