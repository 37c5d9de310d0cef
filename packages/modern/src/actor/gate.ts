/** Where senders wait that have sent to an actor more than it takes. Owner thread only. */

import type { Cell } from './cell.js'

export class Gate {
  readonly #held = new Set<Cell>()
  #waiters: (() => void)[] = []

  get empty(): boolean {
    return this.#held.size === 0 && this.#waiters.length === 0
  }

  /**
   * Holds up an actor once it is through with its message, but none for which others wait in turn. So each is held earlier
   * than those that it holds, and there is no circle in which all wait.
   */
  hold(cell: Cell): void {
    if (cell.holdsOthers || this.#held.has(cell)) return
    this.#held.add(cell)
    cell.mute()
  }

  /** Resolves when there may be room. */
  opened(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** Lets all go on, in the order in which they came. */
  open(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const cell of this.#held) cell.unmute()
    this.#held.clear()
    for (const resolve of waiters) resolve()
  }
}
