/**
 * How many connections each worker has, and what its actors have done, in memory that all threads share: the acceptor chooses by
 * it, and it outlives a worker that dies. Each cell has one writer.
 *
 *   load = GIVEN - TAKEN (on their way) + HELD
 */

import { registerShareable, type Shareable, type Shared } from '@cs/core/sync'
import type { ActorSystem } from '../system.js'

const KIND = 'actor-loads'

/** 1 while the acceptor takes nobody in, until a worker has taken something. It sets it, whichever worker sees it takes it down. */
const PAUSED = 0
/** Then for each worker, as counts that wrap: connections the acceptor gave it, those it took, and how many it has. */
const CELLS = 3
const GIVEN = 1
const TAKEN = 2
const HELD = 3

/** The cells of a thread's row; those from MESSAGES on count what the threads before did, too. */
const ACTORS = 0
const WAITING = 1
const DEEPEST = 2
const MESSAGES = 3
const FAILURES = 4
const RESTARTS = 5
const DEAD_LETTERS = 6
const ROW = 7

interface SharedLoads extends Shared {
  readonly rows: SharedArrayBuffer
}

export class Loads implements Shareable {
  readonly workers: number
  readonly #cells: Int32Array
  readonly #rows: Float64Array
  #next = 0

  private constructor(buffer: SharedArrayBuffer, rows: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer)
    this.#rows = new Float64Array(rows)
    this.workers = (this.#cells.length - GIVEN) / CELLS
  }

  static create(workers: number): Loads {
    const rows = new SharedArrayBuffer((1 + workers) * ROW * 8)
    return new Loads(new SharedArrayBuffer((GIVEN + workers * CELLS) * 4), rows)
  }

  static from(shared: Shared): Loads {
    const { kind, buffer, rows } = shared as SharedLoads
    if (kind !== KIND) throw new TypeError(`expected ${KIND}; the kind given is '${kind}'`)
    return new Loads(buffer, rows)
  }

  share(): Shared {
    const shared: SharedLoads = {
      kind: KIND,
      buffer: this.#cells.buffer as SharedArrayBuffer,
      rows: this.#rows.buffer as SharedArrayBuffer,
    }
    return shared
  }

  // the acceptor's side -----------------------------------------------------------------------------------------------

  /** Chooses the worker with the fewest connections, of equals the next in turn, and counts one more to it. Acceptor only. */
  give(): number {
    let best = this.#next
    for (let i = 1; i < this.workers; i++) {
      const worker = (this.#next + i) % this.workers
      if (this.loadOf(worker) < this.loadOf(best)) best = worker
    }
    this.#next = (best + 1) % this.workers
    Atomics.add(this.#cells, GIVEN + best * CELLS, 1)
    return best
  }

  /** Tells whether fewer than so many connections are on their way to all workers together. */
  hasRoom(waiting: number): boolean {
    let under = 0
    for (let worker = 0; worker < this.workers; worker++) under += this.#onTheirWayTo(worker)
    return under < waiting
  }

  /** Has the next worker that takes something tell the acceptor. Must come before the acceptor's last look. */
  pause(): void {
    Atomics.store(this.#cells, PAUSED, 1)
  }

  // a worker's side ---------------------------------------------------------------------------------------------------

  /** Counts a connection as taken, and as held until {@link hold} tells how many are. That worker only. */
  take(worker: number): void {
    Atomics.add(this.#cells, HELD + worker * CELLS, 1) // first: at no moment does it count for nobody
    Atomics.add(this.#cells, TAKEN + worker * CELLS, 1) // makes room, for the acceptor's next look
  }

  /** Tells, once, whether the acceptor waits for room. */
  takesUp(): boolean {
    return Atomics.load(this.#cells, PAUSED) === 1 && Atomics.exchange(this.#cells, PAUSED, 0) === 1
  }

  /** Says how many connections a worker has. That worker only. */
  hold(worker: number, connections: number): void {
    Atomics.store(this.#cells, HELD + worker * CELLS, connections) // for the acceptor, when it chooses the next
  }

  // both, and the host ------------------------------------------------------------------------------------------------

  /** Gives a node what keeps its row, on top of what the threads before it did there. That thread only. */
  recorder(system: ActorSystem): () => void {
    const { node, counts } = system
    const row = this.#rows.subarray(node * ROW, (node + 1) * ROW)
    const past = row.slice()
    return () => {
      const { actors, deepest, messages, failures, restarts, deadLetters } = counts
      row[ACTORS] = actors
      row[WAITING] = system.waiting
      row[DEEPEST] = Math.max(past[DEEPEST], deepest)
      row[MESSAGES] = past[MESSAGES] + messages
      row[FAILURES] = past[FAILURES] + failures
      row[RESTARTS] = past[RESTARTS] + restarts
      row[DEAD_LETTERS] = past[DEAD_LETTERS] + deadLetters
    }
  }

  /** Connections that a worker has or is about to have. Any thread; it may be a turn of that worker old. */
  loadOf(worker: number): number {
    return this.#onTheirWayTo(worker) + Atomics.load(this.#cells, HELD + worker * CELLS)
  }

  /** What all nodes have done. Any thread. */
  statistics(): Readonly<Record<'actors' | 'mailboxes', Readonly<Record<string, number>>>> & { loads: number[] } {
    const sum = (cell: number): number => this.#column(cell).reduce((total, value) => total + value, 0)
    return {
      actors: { alive: sum(ACTORS), failures: sum(FAILURES), restarts: sum(RESTARTS) },
      mailboxes: {
        messages: sum(MESSAGES),
        waiting: sum(WAITING),
        deepest: Math.max(...this.#column(DEEPEST)),
        deadLetters: sum(DEAD_LETTERS),
      },
      loads: Array.from({ length: this.workers }, (_, worker) => this.loadOf(worker)),
    }
  }

  #onTheirWayTo(worker: number): number {
    const at = worker * CELLS
    return (Atomics.load(this.#cells, GIVEN + at) - Atomics.load(this.#cells, TAKEN + at)) | 0
  }

  #column(cell: number): number[] {
    return Array.from({ length: this.workers + 1 }, (_, node) => this.#rows[node * ROW + cell])
  }
}

registerShareable(KIND, Loads)
