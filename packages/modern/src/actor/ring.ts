/** A queue in a ring of slots: both ends in constant time, and no allocation but when it grows. Owner thread only. */

const FIRST_SLOTS = 4

/** Slots above which an empty ring gives its memory back: what a burst took is not kept for ever. */
const KEPT_SLOTS = 1024

/** Those of a ring that has held nothing yet: most mailboxes of most actors. */
const NO_SLOTS: never[] = []

export class Ring<T> {
  #slots: (T | undefined)[] = NO_SLOTS
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(value: T): void {
    if (this.#size === this.#slots.length) this.#grow()
    this.#slots[(this.#head + this.#size++) & (this.#slots.length - 1)] = value
  }

  /** Puts a value before all others. */
  unshift(value: T): void {
    if (this.#size === this.#slots.length) this.#grow()
    this.#head = (this.#head - 1) & (this.#slots.length - 1)
    this.#slots[this.#head] = value
    this.#size++
  }

  /** Takes the oldest value; not from an empty ring. */
  shift(): T {
    const value = this.#slots[this.#head] as T
    this.#slots[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#slots.length - 1)
    if (--this.#size === 0 && this.#slots.length > KEPT_SLOTS) this.#slots = NO_SLOTS
    if (this.#size === 0) this.#head = 0
    return value
  }

  /** Takes all values, the oldest first. */
  *drain(): Generator<T> {
    while (this.#size > 0) yield this.shift()
  }

  #grow(): void {
    const slots: (T | undefined)[] = new Array(this.#slots.length * 2 || FIRST_SLOTS)
    for (let i = 0; i < this.#size; i++) slots[i] = this.#slots[(this.#head + i) & (this.#slots.length - 1)]
    this.#slots = slots
    this.#head = 0
  }
}
