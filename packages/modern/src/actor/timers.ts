import type { Cell } from './cell.js'

/** Messages that an actor sends itself later, each under a key; a timer that is set again replaces the one before. */
export interface Timers<Message> {
  /** Sends a message once, in so many ms. */
  startSingle(key: unknown, message: Message, ms: number): void
  /** Sends a message every so many ms (above 0), first after as many. */
  startPeriodic(key: unknown, message: Message, everyMs: number): void
  isActive(key: unknown): boolean
  cancel(key: unknown): void
  cancelAll(): void
}

export class ActorTimers<Message> implements Timers<Message> {
  readonly #cell: Cell
  readonly #cancels = new Map<unknown, () => void>()

  constructor(cell: Cell) {
    this.#cell = cell
  }

  startSingle(key: unknown, message: Message, ms: number): void {
    this.cancel(key)
    const cancel = this.#cell.system.delay(ms, () => {
      this.#cancels.delete(key)
      this.#cell.accept(message)
    })
    this.#cancels.set(key, cancel)
  }

  startPeriodic(key: unknown, message: Message, everyMs: number): void {
    if (!(everyMs > 0)) throw new RangeError(`a period is longer than 0 ms: ${everyMs}`)
    this.cancel(key)
    this.#cancels.set(
      key,
      this.#cell.system.delay(everyMs, () => this.#cell.accept(message), everyMs),
    )
  }

  isActive(key: unknown): boolean {
    return this.#cancels.has(key)
  }

  cancel(key: unknown): void {
    this.#cancels.get(key)?.()
    this.#cancels.delete(key)
  }

  cancelAll(): void {
    for (const cancel of this.#cancels.values()) cancel()
    this.#cancels.clear()
  }
}
