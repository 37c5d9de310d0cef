/**
 * Runs coroutines, one at a time, in the order in which they became ready.
 *
 *   spawn ─▶ ready queue ─▶ running ── yield suspension ─▶ suspended ── resume, fail ─▶ ready queue ↺
 *                              └────── return, throw ────▶ done ─▶ whoever joined
 *
 * A turn (`run`) takes those that are ready when it begins; who becomes ready meanwhile runs in the next, so that a loop can look
 * after its descriptors in between. What can be had at once does not send a coroutine to the back of the queue: it goes on,
 * up to `budget` times, then others have their turn.
 *
 * To cancel a coroutine is to have the `yield` at which it waits throw a CancelledError: its finally blocks run, which may wait in
 * turn, and a catch block that takes all errors should pass this one on. One that does not wait is cancelled where it does so
 * next: what it was given, a lock say, is in its hands by then. Rejected: to call `return()` on its generator, which no catch block
 * could swallow. After a finally block that waits, the caller of `yield*` would go on as if nothing had been.
 *
 * Owner thread only.
 */

import { type Timer, TimerHeap } from '../loop/index.js'
import { type Coroutine, DONE, PROMPT, READY, RUNNING, Strand, SUSPENDED, settle } from './coroutine.js'
import { CancelledError } from './errors.js'
import { RunQueue } from './run-queue.js'
import type { Steps, TaskHost, TaskLedger } from './suspension.js'

export interface SchedulerSettings {
  /** How often in a turn a coroutine may go on with what can be had at once. Default: 64. */
  readonly budget?: number
  /** What coroutines leave to Node's loop; a Service is one. Default: one of its own. */
  readonly ledger?: TaskLedger
  /** Is told what a coroutine throws that nobody has joined. Default: it is thrown as an uncaught error of the thread. */
  readonly onError?: (error: unknown, coroutine: Coroutine<unknown>) => void
}

/** What a scheduler has done. */
export interface SchedulerStatistics {
  readonly alive: number
  readonly ready: number
  /** Alive, and waiting for something. */
  readonly suspended: number
  readonly spawned: number
  /** Times that one has been resumed. */
  readonly resumed: number
  readonly timers: number
}

const DEFAULT_BUDGET = 64

/** Turns that finally blocks get when a scheduler is closed. */
const CLOSING_TURNS = 100

export class Scheduler implements TaskHost {
  readonly ledger: TaskLedger
  /** Called when a coroutine becomes ready where none was: whoever runs the scheduler should not go on waiting. */
  onReady: (() => void) | undefined
  readonly #budget: number
  readonly #onError: (error: unknown, coroutine: Coroutine<unknown>) => void
  readonly #queue = new RunQueue<Strand<unknown>>()
  readonly #timers = new TimerHeap()
  /** Stands before the first and behind the last of those that are alive. */
  readonly #ring: Strand<unknown>
  #running: Strand<unknown> | undefined
  #size = 0
  #spawned = 0
  #resumed = 0

  /** @throws RangeError for a budget below 1 */
  constructor(settings: SchedulerSettings = {}) {
    const { budget = DEFAULT_BUDGET } = settings
    if (!Number.isInteger(budget) || budget < 1) throw new RangeError(`a budget is a whole number from 1 on: ${budget}`)
    this.#budget = budget
    this.ledger = settings.ledger ?? { appRan: false, pending: 0 }
    this.#onError = settings.onError ?? throwLater
    this.#ring = new Strand(this, undefined as never, '')
  }

  /** Coroutines that are not done. */
  get size(): number {
    return this.#size
  }

  /** Starts a coroutine: it runs in the next turn. */
  spawn<T>(steps: Steps<T>, name = ''): Coroutine<T> {
    const strand = new Strand(this, steps, name) as Strand<unknown>
    const { previous } = this.#ring
    strand.previous = previous
    strand.next = this.#ring
    previous.next = this.#ring.previous = strand
    this.#size++
    this.#spawned++
    this.#enqueue(strand)
    return strand as Strand<T>
  }

  /** Runs those whose timers are due and those that are ready, each once; returns how many. */
  run(): number {
    if (this.#timers.size > 0) this.#timers.run(performance.now(), Number.POSITIVE_INFINITY, call)
    const count = this.#queue.size
    if (count === 0) return 0
    this.ledger.appRan = true
    for (let i = 0; i < count; i++) this.#step(this.#queue.shift())
    return count
  }

  /** Milliseconds that a loop may wait before the next turn, -1 for any; `other` is the limit of the loop's own. */
  timeout(other = -1): number {
    if (this.#queue.size > 0) return 0
    const { next } = this.#timers
    if (next === Number.POSITIVE_INFINITY) return other
    const due = Math.max(0, next - performance.now())
    return other < 0 ? due : Math.min(due, other)
  }

  after(ms: number, callback: () => void): () => void {
    if (!(ms >= 0)) throw new RangeError(`one waits for a time from 0 on, in ms: ${ms}`)
    const timer: Timer = this.#timers.set(performance.now() + ms, 0, callback)
    return () => this.#timers.cancel(timer)
  }

  /** All that are alive, the oldest first. */
  *[Symbol.iterator](): Generator<Coroutine<unknown>, void> {
    let strand = this.#ring.next
    while (strand !== this.#ring) {
      const { next } = strand
      yield strand
      strand = next
    }
  }

  /**
   * Cancels all, and runs them as long as they are ready. What a finally block waits for then does not come: the scheduler is given
   * up.
   */
  close(): void {
    for (const coroutine of this) coroutine.cancel()
    for (let turn = 0; turn < CLOSING_TURNS && this.#queue.size > 0; turn++) this.run()
    this.#timers.clear()
  }

  statistics(): SchedulerStatistics {
    const ready = this.#queue.size
    const running = this.#running === undefined ? 0 : 1
    return {
      alive: this.#size,
      ready,
      suspended: this.#size - ready - running,
      spawned: this.#spawned,
      resumed: this.#resumed,
      timers: this.#timers.size,
    }
  }

  /** @internal What a strand calls that goes on. */
  ready(strand: Strand<unknown>): void {
    if (this.#running === strand) {
      strand.phase = PROMPT
      return
    }
    strand.phase = READY
    this.#enqueue(strand)
  }

  #enqueue(strand: Strand<unknown>): void {
    this.#queue.push(strand)
    if (this.#queue.size === 1) this.onReady?.()
  }

  #step(strand: Strand<unknown>): void {
    this.#running = strand
    let left = this.#budget
    do {
      strand.phase = RUNNING
      this.#resumed++
      if (!this.#advance(strand)) break
    } while (strand.phase === PROMPT && --left > 0)
    this.#running = undefined
    if (strand.phase === PROMPT) this.ready(strand)
  }

  /** Runs it to where it waits; false where it does not wait for anything, or has ended. */
  #advance(strand: Strand<unknown>): boolean {
    const { steps, throws, value } = strand
    strand.throws = false
    strand.value = undefined
    try {
      const result = throws ? steps.throw(value) : steps.next(value)
      if (result.done) {
        this.#end(strand, false, result.value)
        return false
      }
      const suspension = result.value
      if (strand.interruptions !== undefined) {
        strand.obey()
        strand.phase = PROMPT
      } else if (suspension === undefined) {
        this.#running = undefined // so that it goes to the end of the queue
        this.ready(strand)
        return false
      } else {
        strand.suspension = suspension
        strand.phase = SUSPENDED
        suspension.suspend(strand)
      }
      return true
    } catch (error) {
      return this.#catch(strand, error)
    }
  }

  /** What a coroutine throws ends it; what a suspension throws, which could not be waited for, is thrown into it. */
  #catch(strand: Strand<unknown>, error: unknown): boolean {
    if (strand.phase === SUSPENDED) strand.fail(error)
    else this.#end(strand, true, error)
    return strand.phase !== DONE
  }

  #end(strand: Strand<unknown>, threw: boolean, value: unknown): void {
    const { joiners } = strand
    strand.phase = DONE
    strand.throws = threw
    strand.value = value
    strand.joiners = undefined
    strand.previous.next = strand.next
    strand.next.previous = strand.previous
    strand.previous = strand.next = strand
    this.#size--
    if (joiners !== undefined && joiners.length > 0) for (const { task } of joiners) settle(strand, task!)
    else if (threw && !(strand.isCancelled && value instanceof CancelledError)) this.#onError(value, strand)
  }
}

function call(callback: () => void): void {
  callback()
}

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
