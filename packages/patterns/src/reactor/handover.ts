/**
 * How connections go from the reactor that accepts to those that serve: a queue of descriptors for each, and a wakeup that ends
 * its wait.
 *
 *   acceptor: choose a loop ─▶ put ─▶ signal, once a turn        loop: woken ─▶ take until empty ─▶ claim in the table
 */

import { BoundedQueue, Wakeup } from '@cs/core'
import type { SharedWakeup } from '@cs/core/demux'
import { registerShareable, type Shareable, type Shared } from '@cs/core/sync'

const KIND = 'reactor-handover'

/** How a loop is chosen for a connection. */
export type Deal = 'round-robin' | 'least-busy'

interface SharedHandover extends Shared {
  readonly queues: readonly Shared[]
  readonly wakeups: readonly SharedWakeup[]
}

export class Handover implements Shareable {
  readonly #queues: readonly BoundedQueue[]
  readonly #wakeups: readonly Wakeup[]
  /** How many connections each loop has. Each cell has one writer, its loop. */
  readonly #held: Int32Array

  private constructor(queues: readonly BoundedQueue[], wakeups: readonly Wakeup[], buffer: SharedArrayBuffer) {
    this.#queues = queues
    this.#wakeups = wakeups
    this.#held = new Int32Array(buffer)
  }

  /** Makes way to so many loops, with room for `waiting` connections each; {@link dispose} gives its descriptors back. */
  static create(loops: number, waiting: number): Handover {
    const queues = Array.from({ length: loops }, () => BoundedQueue.create(waiting))
    const wakeups: Wakeup[] = []
    try {
      while (wakeups.length < loops) wakeups.push(Wakeup.open())
    } catch (error) {
      for (const wakeup of wakeups) wakeup.close()
      throw error
    }
    return new Handover(queues, wakeups, new SharedArrayBuffer(4 * loops))
  }

  /** Opens the handover that another thread shared. Any thread. */
  static from(shared: Shared): Handover {
    const { kind, queues, wakeups, buffer } = shared as SharedHandover
    if (kind !== KIND) throw new TypeError(`expected a ${KIND}; the kind given is '${kind}'`)
    return new Handover(queues.map(BoundedQueue.from), wakeups.map(Wakeup.from), buffer)
  }

  share(): Shared {
    const shared: SharedHandover = {
      kind: KIND,
      queues: this.#queues.map((queue) => queue.share()),
      wakeups: this.#wakeups.map((wakeup) => wakeup.share()),
      buffer: this.#held.buffer as SharedArrayBuffer,
    }
    return shared
  }

  get loops(): number {
    return this.#queues.length
  }

  /** The number of connections that a loop has, or will have once it is awake. Any thread. */
  loadOf(loop: number): number {
    return this.#queues[loop].size + Atomics.load(this.#held, loop) // what was closed in this turn of the loop counts still
  }

  /** Puts a connection if there is room. Acceptor only. */
  tryPut(loop: number, fd: number): 'put' | 'full' | 'closed' {
    return this.#queues[loop].tryPut(fd)
  }

  /** Puts a connection, blocking while there is no room; false once all is closed. Acceptor only. */
  put(loop: number, fd: number): boolean {
    return this.#queues[loop].put(fd) === 'put'
  }

  /** Ends the wait of a loop. Any thread. */
  signal(loop: number): void {
    this.#wakeups[loop].signal()
  }

  /** What becomes readable when there is something to take. */
  wakeupOf(loop: number): Wakeup {
    return this.#wakeups[loop]
  }

  /** Takes the next connection of a loop, which should drain its wakeup before it looks. That loop only. */
  take(loop: number): number | 'empty' | 'closed' {
    const taken = this.#queues[loop].tryTake()
    if (typeof taken === 'number') Atomics.add(this.#held, loop, 1) // until the loop tells how many it has
    return taken === 'dismissed' ? 'empty' : taken // nobody dismisses a loop
  }

  /** Tells how many connections a loop has. That loop only. */
  hold(loop: number, connections: number): void {
    Atomics.store(this.#held, loop, connections) // for the acceptor, when it deals the next
  }

  /** Says that nothing more will be put, and wakes all. Any thread. */
  close(): void {
    for (const [loop, queue] of this.#queues.entries()) {
      queue.close()
      this.signal(loop)
    }
  }

  /** Gives the descriptors back, once no thread uses them. */
  dispose(): void {
    for (const wakeup of this.#wakeups) wakeup.close()
  }
}

registerShareable(KIND, Handover)
