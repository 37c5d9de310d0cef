/**
 * How one thread is woken by others: by a system call where it sleeps, by none where it is awake.
 *
 *   AWAKE ── lies down ─▶ ASLEEP ── rung ─▶ CALLED ── rises ─▶ AWAKE
 *
 * It lies down before its last look at what others leave for it, so whoever leaves something afterwards sees it asleep. The
 * same bell wakes a thread from a futex, from Node's event loop (Atomics.waitAsync) or, with a wakeup, from a demultiplexer.
 */

import type { Wakeup } from '../demux/index.js'

const AWAKE = 0
const ASLEEP = 1
const CALLED = 2

/** Of ES2024, which Node has had since 16. */
interface WaitAsync {
  waitAsync(
    cells: Int32Array,
    at: number,
    value: number,
  ): { readonly async: false } | { readonly async: true; readonly value: Promise<unknown> }
}

export class Bell {
  readonly #cells: Int32Array
  readonly #at: number
  readonly #wakeup: Wakeup | undefined

  /** The bell in a cell of shared memory; each thread makes one of its own. */
  constructor(cells: Int32Array, at: number, wakeup?: Wakeup) {
    this.#cells = cells
    this.#at = at
    this.#wakeup = wakeup
  }

  /** True while the thread sleeps and nobody has rung. Any thread. */
  get sleeps(): boolean {
    return Atomics.load(this.#cells, this.#at) === ASLEEP
  }

  /** Wakes the thread if it sleeps; tells whether it did. Any thread. */
  ring(): boolean {
    if (!this.sleeps) return false
    if (Atomics.compareExchange(this.#cells, this.#at, ASLEEP, CALLED) !== ASLEEP) return false
    if (this.#wakeup === undefined) Atomics.notify(this.#cells, this.#at, 1)
    else this.#wakeup.signal()
    return true
  }

  /** Says that the thread is about to sleep; must come before its last look. Owner only. */
  lieDown(): void {
    Atomics.store(this.#cells, this.#at, ASLEEP)
  }

  /** Blocks until it is rung, for so many ms at most, unless it was rung since the thread lay down. Owner only. */
  sleep(milliseconds: number): void {
    Atomics.wait(this.#cells, this.#at, ASLEEP, milliseconds)
  }

  /** The same in Node's event loop, which goes on meanwhile and must have something that keeps it alive. Owner only. */
  async sleepInLoop(): Promise<void> {
    const wait = (Atomics as unknown as WaitAsync).waitAsync(this.#cells, this.#at, ASLEEP)
    if (wait.async) await wait.value
  }

  /** Says that the thread is awake; tells whether it was called. Owner, or the host where its thread is gone. */
  rise(): boolean {
    return Atomics.exchange(this.#cells, this.#at, AWAKE) === CALLED
  }
}
