/**
 * How one thread is woken by others: by a system call where it sleeps, by none where it is awake.
 *
 *   AWAKE ── lies down ─▶ ASLEEP, or WATCHING ── rung ─▶ CALLED ── rises ─▶ AWAKE
 *
 * It lies down before its last look at what others leave for it, so whoever leaves something afterwards sees it asleep. The
 * same bell wakes a thread that is ASLEEP from a futex or from Node's event loop (Atomics.waitAsync), and one that is WATCHING
 * from its demultiplexer, by a wakeup.
 */

import type { Wakeup } from '../demux/index.js'

const AWAKE = 0
const ASLEEP = 1
const WATCHING = 2
const CALLED = 3

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
    const state = Atomics.load(this.#cells, this.#at)
    return state === ASLEEP || state === WATCHING
  }

  /** Wakes the thread if it sleeps; tells whether it did. Any thread. */
  ring(): boolean {
    const state = Atomics.load(this.#cells, this.#at)
    if (state !== ASLEEP && state !== WATCHING) return false
    if (Atomics.compareExchange(this.#cells, this.#at, state, CALLED) !== state) return false
    if (state === ASLEEP) Atomics.notify(this.#cells, this.#at, 1)
    else this.#wakeup!.signal()
    return true
  }

  /** Says that the thread is about to sleep, in a demultiplexer that watches its wakeup or not; must come before its last look. Owner only. */
  lieDown(watching: boolean = this.#wakeup !== undefined): void {
    Atomics.store(this.#cells, this.#at, watching ? WATCHING : ASLEEP)
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
