/** Who stands in line, the oldest first; anybody may leave at any time, at no cost that depends on how many there are. */
export class WaitList<T extends Waiter> {
  #first: Waiter | undefined
  #last: Waiter | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  push(waiter: T): void {
    waiter.line = this as unknown as WaitList<Waiter>
    waiter.previousInLine = this.#last
    waiter.nextInLine = undefined
    if (this.#last === undefined) this.#first = waiter
    else this.#last.nextInLine = waiter
    this.#last = waiter
    this.#size++
  }

  /** Takes the oldest; undefined where there is none. */
  shift(): T | undefined {
    const first = this.#first as T | undefined
    if (first !== undefined) this.remove(first)
    return first
  }

  /** Does nothing where the waiter stands in another line or in none. */
  remove(waiter: T): void {
    if (waiter.line !== (this as unknown)) return
    const { previousInLine: previous, nextInLine: next } = waiter
    if (previous === undefined) this.#first = next
    else previous.nextInLine = next
    if (next === undefined) this.#last = previous
    else next.previousInLine = previous
    waiter.line = waiter.previousInLine = waiter.nextInLine = undefined
    this.#size--
  }
}

/** Who can stand in line. */
export interface Waiter {
  line: WaitList<Waiter> | undefined
  previousInLine: Waiter | undefined
  nextInLine: Waiter | undefined
}
