/**
 * The event loop that Node gave the thread, as a guest of the loop that a model runs on it.
 *
 * A model blocks in a wait of its own, so whatever an app awaits (timers, files, fetch, a database) would stand still.
 * This class tells the model how long it may block (`timeout`), has it watch libuv's descriptor beside its own, and
 * gives libuv a turn when one is due (`breathe`). Two facts to know:
 *   - promise reactions and process.nextTick callbacks run when control returns to libuv, not while the model blocks, so
 *     a thread whose app ran owes it a turn even if libuv has nothing to do;
 *   - libuv's clock stands still while the model blocks; it is brought up to date before each wait.
 */

import { type Demultiplexer, READABLE } from '../demux/index.js'
import { type UvLoop, uvLoop } from '../posix/index.js'
import { Turn } from './turn.js'

/** Milliseconds for which what an app left behind may wait for a turn, while there is other work and while there is none. */
const BUSY_DEBT_MS = 10
const QUIET_DEBT_MS = 1

/** Rounds of promise reactions that are run on the spot before a turn of libuv is paid for: most handlers need fewer. */
const ROUNDS = 6

/** What a thread owes its event loop; a Service is one. */
export interface Ledger {
  /** True once callbacks or handlers have run since the last turn. */
  appRan: boolean
  /** Handlers that have not answered yet. */
  readonly pending: number
}

/** What of a demultiplexer it takes to watch one descriptor. */
export type Watcher = Pick<Demultiplexer, 'trigger' | 'add' | 'modify' | 'remove'>

export class NestedLibuv {
  readonly #demux: Watcher
  /** Undefined where this Node does not tell it; then every millisecond counts as due while handlers wait. */
  readonly #loop: UvLoop | undefined = uvLoop()
  readonly #turn = new Turn(true)
  #fdReady = false
  #owed = false
  /** When libuv's next timer is due, on the clock of performance.now(). */
  #dueAt = Number.POSITIVE_INFINITY

  /** Watches libuv's descriptor with the demultiplexer of the loop that is the host. */
  constructor(demux: Watcher) {
    this.#demux = demux
    if (this.#loop !== undefined) demux.add(this.#loop.fd, READABLE)
  }

  /** Tells whether an event is libuv's, and notes it for the next {@link breathe}. */
  takes(fd: number): boolean {
    if (fd !== this.#loop?.fd) return false
    this.#fdReady = true
    return true
  }

  /** The longest wait, in milliseconds, that makes nothing late; -1 for any. `other` is the limit of the loop's own. */
  timeout(ledger: Ledger, other: number): number {
    const due = this.#loop?.timeout() ?? (ledger.pending > 0 ? QUIET_DEBT_MS : -1)
    this.#dueAt = due < 0 ? Number.POSITIVE_INFINITY : performance.now() + due
    const limit = this.#owed ? QUIET_DEBT_MS : -1
    return shorter(shorter(due, limit), other)
  }

  /** Lets the app's promises go on, and libuv turn, as far as they must before the loop waits again. */
  async breathe(ledger: Ledger, readyCount: number): Promise<void> {
    const started = ledger.appRan
    if (started) {
      ledger.appRan = false
      this.#owed = true
      for (let round = 0; round < ROUNDS && ledger.pending > 0; round++) await undefined
    }
    if (this.#fdReady || (started && ledger.pending > 0) || this.#isLate(readyCount)) await this.#giveTurn()
  }

  close(): void {
    if (this.#loop !== undefined) this.#demux.remove(this.#loop.fd)
    this.#turn.close()
  }

  #isLate(readyCount: number): boolean {
    const now = performance.now()
    if (now >= this.#dueAt) return true
    return this.#owed && now - this.#turn.last >= (readyCount === 0 ? QUIET_DEBT_MS : BUSY_DEBT_MS)
  }

  async #giveTurn(): Promise<void> {
    this.#fdReady = false
    this.#owed = false
    await this.#turn.take()
    // What libuv left for its next turn makes no new edge.
    if (this.#demux.trigger === 'edge' && this.#loop !== undefined) this.#demux.modify(this.#loop.fd, READABLE)
  }
}

function shorter(a: number, b: number): number {
  if (a < 0) return b
  return b < 0 ? a : Math.min(a, b)
}
