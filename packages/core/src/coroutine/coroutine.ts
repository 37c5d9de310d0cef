/** A coroutine: what its user sees of it, and what its scheduler keeps of it. */

import { CancelledError, named } from './errors.js'
import { Operation, type Steps, type Suspension, type Task, type TaskHost } from './suspension.js'

/** A coroutine that was spawned. */
export interface Coroutine<T> {
  /** As it was given; empty by default. */
  readonly name: string
  readonly state: 'ready' | 'running' | 'suspended' | 'done'
  /** What it waits for, in words; undefined where it does not wait. */
  readonly waitsFor: string | undefined
  /** True once {@link cancel} was called. */
  readonly isCancelled: boolean
  /** Has the `yield` at which it waits, or will wait next, throw CancelledError; false where it is done or was cancelled before. */
  cancel(): boolean
  /** The same with another error; false where it is done. Interruptions come one after another. */
  interrupt(error: unknown): boolean
  /** Takes an interruption back that has not been thrown yet. */
  uninterrupt(error: unknown): void
  /**
   * Waits, as `yield* coroutine.join()`, for its end, and gives back what it returned.
   * @throws what it threw; CancelledError where it was cancelled
   */
  join(): Operation<T>
  /** The same for async code. */
  result(): Promise<T>
}

/** Where a coroutine is between its beginning and its end. */
const NEW = 0
export const READY = 1
export const RUNNING = 2
export const SUSPENDED = 3
/** Resumed while it was being suspended. */
export const PROMPT = 4
export const DONE = 5
const STATES = ['ready', 'ready', 'running', 'suspended', 'running', 'done'] as const

/** What a strand asks of its scheduler. */
interface StrandHost extends TaskHost {
  /** Puts one into the queue, or lets it go on at once where it is just being suspended. */
  ready(strand: Strand<unknown>): void
}

/** A coroutine as its scheduler sees it. */
export class Strand<T> implements Coroutine<T>, Task {
  readonly host: StrandHost
  readonly name: string
  readonly steps: Steps<T>
  phase: number = NEW
  /** True where it is resumed by throwing, and in the end where it threw. */
  throws = false
  /** What it is resumed with; in the end, what it returned or threw. */
  value: unknown
  suspension: Suspension | undefined
  /** What it is to throw where it waits next, and next but one. */
  interruptions: unknown[] | undefined
  isCancelled = false
  joiners: Join<T>[] | undefined
  // all that are alive, in a ring
  previous: Strand<unknown>
  next: Strand<unknown>

  constructor(host: StrandHost, steps: Steps<T>, name: string) {
    this.host = host
    this.steps = steps
    this.name = name
    this.previous = this.next = this as Strand<unknown>
  }

  get state(): Coroutine<T>['state'] {
    return STATES[this.phase]
  }

  get waitsFor(): string | undefined {
    if (this.phase !== SUSPENDED) return undefined
    return this.suspension?.what ?? 'to be resumed'
  }

  resume(value?: unknown): void {
    this.#goOn(false, value)
  }

  fail(error: unknown): void {
    this.#goOn(true, error)
  }

  cancel(): boolean {
    if (this.phase === DONE || this.isCancelled) return false
    this.isCancelled = true
    this.#cut(new CancelledError(`${named('coroutine', this.name)} was cancelled`))
    return true
  }

  interrupt(error: unknown): boolean {
    if (this.phase === DONE) return false
    this.#cut(error)
    return true
  }

  uninterrupt(error: unknown): void {
    const left = this.interruptions?.filter((each) => each !== error)
    this.interruptions = left?.length === 0 ? undefined : left
  }

  join(): Join<T> {
    return new Join(this)
  }

  result(): Promise<T> {
    return new Promise((resolve, reject) => {
      this.join().suspend({ host: this.host, resume: resolve as (value: unknown) => void, fail: reject })
    })
  }

  #goOn(throws: boolean, value: unknown): void {
    if (this.phase !== SUSPENDED) return
    this.throws = throws
    this.value = value
    this.suspension = undefined
    this.host.ready(this as Strand<unknown>)
  }

  /** Has it throw now if it waits or has not begun, and else where it waits next. */
  #cut(error: unknown): void {
    if (this.phase === SUSPENDED) {
      this.suspension!.abandon(this)
      return this.fail(error)
    }
    this.interruptions = [...(this.interruptions ?? []), error]
    if (this.phase === NEW && !this.throws) this.obey()
  }

  /** Makes the first interruption what it is resumed with. */
  obey(): void {
    const [error, ...left] = this.interruptions!
    this.throws = true
    this.value = error
    this.interruptions = left.length === 0 ? undefined : left
  }
}

class Join<T> extends Operation<T> {
  readonly #strand: Strand<T>
  task: Task | undefined

  constructor(strand: Strand<T>) {
    super()
    this.#strand = strand
  }

  get what(): string {
    return `for the end of ${named('coroutine', this.#strand.name)}`
  }

  suspend(task: Task): void {
    this.task = task
    if (this.#strand.phase === DONE) settle(this.#strand, task)
    else (this.#strand.joiners ??= []).push(this)
  }

  abandon(): void {
    const { joiners } = this.#strand
    if (joiners !== undefined) this.#strand.joiners = joiners.filter((each) => each !== this)
  }
}

/** Gives a task what a coroutine that is done returned or threw. */
export function settle(strand: Strand<unknown>, task: Task): void {
  if (strand.throws) task.fail(strand.value)
  else task.resume(strand.value)
}
