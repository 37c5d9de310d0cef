/**
 * Runs the actors of one thread: a queue of those that have something to do, each of which handles a batch of messages and then
 * goes to the end of the queue if there is more. So a busy actor holds up nobody for longer than its batch.
 *
 * See: ponyc, src/libponyrt/sched/scheduler.c, actor/actor.c (batches, muting of senders)
 */

import type { Cell } from './cell.js'
import { Ring } from './ring.js'

/** Actors that run between two looks at the clock. */
const LOOK_EVERY = 64

export class Scheduler {
  /** The actor that runs, who is the sender of what is told now; undefined outside of all actors. */
  current: Cell | undefined
  readonly #ready = new Ring<Cell>()
  readonly #onWork: () => void

  /** @param onWork is called when there is something to run and was nothing. */
  constructor(onWork: () => void) {
    this.#onWork = onWork
  }

  get idle(): boolean {
    return this.#ready.size === 0
  }

  /** Has an actor run, which must not be waiting for that already. */
  push(cell: Cell): void {
    this.#ready.push(cell)
    if (this.#ready.size === 1 && this.current === undefined) this.#onWork()
  }

  /** Runs actors until nobody has anything to do, or for so many ms; tells whether nobody has. */
  run(ms: number): boolean {
    const ready = this.#ready
    const end = ms === Number.POSITIVE_INFINITY ? ms : performance.now() + ms
    for (let n = 1; ready.size > 0; n++) {
      ready.shift().run()
      if (n % LOOK_EVERY === 0 && end !== Number.POSITIVE_INFINITY && performance.now() >= end) break
    }
    return ready.size === 0
  }
}
