/** A queue that allocates nothing once it is as large as it gets: a ring whose size is a power of two. */
export class RunQueue<T> {
  #ring: (T | undefined)[] = new Array(16).fill(undefined)
  #mask = 15
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(item: T): void {
    if (this.#size > this.#mask) this.#grow()
    this.#ring[(this.#head + this.#size++) & this.#mask] = item
  }

  /** Takes the oldest; only where there is one. */
  shift(): T {
    const item = this.#ring[this.#head] as T
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & this.#mask
    this.#size--
    return item
  }

  #grow(): void {
    const before = this.#ring
    this.#ring = new Array(before.length * 2).fill(undefined)
    for (let i = 0; i < this.#size; i++) this.#ring[i] = before[(this.#head + i) & this.#mask]
    this.#head = 0
    this.#mask = this.#ring.length - 1
  }
}
