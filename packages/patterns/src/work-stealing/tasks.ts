/**
 * Tasks of an app on one worker's thread: functions that its module exports, by name, with arguments that can be cloned.
 *
 *   spawn: clone the arguments ─▶ own deque of tasks, newest first ─▶ wake a thief
 *   join:  ended? ─▶ else run another, of one's own or a stolen one ─▶ else sleep until one ends, or there is one to run ↺
 *
 * A handler that awaits a task holds its thread, so the thread helps meanwhile: a fork that joins its halves runs the half that
 * nobody stole. It helps with tasks only: to begin another request amid one would make that one late.
 */

import { deserialize, serialize } from 'node:v8'
import type { DequeWorker, IdleWorker } from '@cs/core/sync'
import { type Crew, callSpawner } from './crew.js'
import type { Thief } from './thief.js'

/** A task that could not be spawned, or did not come to an end. */
export class TaskError extends Error {
  readonly code: string = 'ERR_CS_TASK'
  override readonly name: string = 'TaskError'
}

/** Milliseconds after which a thread that helps gives its own event loop a turn. */
const TURN_MS = 10

/** The longest period that a timer takes. */
const NEVER_MS = 2 ** 31 - 1

/** How a task ended: with this value, with what it threw, or by us, for this reason. */
type Outcome = readonly ['returned' | 'threw', unknown] | readonly ['failed', string]

/** A task that was spawned: what `await` waits for. Of the thread that spawned it only. */
export class Task<Result> implements PromiseLike<Result> {
  readonly name: string
  readonly #promise: Promise<Result>
  readonly #join: () => void
  #isSettled = false
  #settle!: (outcome: Outcome) => void

  /** @param join told of each join before the task has ended */
  constructor(name: string, join: (task: Task<unknown>) => void) {
    this.name = name
    this.#join = () => join(this)
    this.#promise = new Promise((resolve, reject) => {
      this.#settle = ([how, value]) => {
        if (how === 'returned') resolve(value as Result)
        else reject(how === 'failed' ? new TaskError(value) : value)
      }
    })
    this.#promise.catch(() => {}) // whoever joins hears of it; nobody need
  }

  /** Joins the task: see {@link join}. */
  // biome-ignore lint/suspicious/noThenProperty: it is what `await` calls, and so learns that somebody waits
  then<A = Result, B = never>(
    onResult?: ((result: Result) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (!this.#isSettled) this.#join()
    return this.#promise.then(onResult, onError)
  }

  /** Called by the tasks of its thread. */
  settle(outcome: Outcome): void {
    this.#isSettled = true
    this.#settle(outcome)
  }
}

export class Tasks {
  /** Those of this thread, where it is a worker's. */
  static current: Tasks | undefined
  readonly #crew: Crew
  readonly #index: number
  readonly #functions: Readonly<Record<string, unknown>>
  readonly #deque: DequeWorker
  readonly #thief: Thief
  readonly #seat: IdleWorker
  readonly #freeRows: number[]
  readonly #pending = new Map<number, Task<unknown>>()
  /** Tasks for which there was no row. Thieves cannot see them. */
  readonly #heldBack: { readonly task: Task<unknown>; readonly bytes: Buffer }[] = []
  /** Tasks that somebody waits for. */
  readonly #joined = new Set<Task<unknown>>()
  /** True while there is somebody on this thread who looks for a task to run, or sleeps. */
  #looking = false

  /** @param functions what the app's module exports */
  constructor(crew: Crew, index: number, thief: Thief, functions: Readonly<Record<string, unknown>>) {
    this.#crew = crew
    this.#index = index
    this.#functions = functions
    this.#deque = crew.tasks[index].worker()
    this.#thief = thief
    this.#seat = crew.joining.worker(index)
    this.#freeRows = crew.table.freeOf(index)
  }

  /** Has any worker run a function; where there are too many under way, once one of them has ended. */
  spawn<Result>(name: string, args: readonly unknown[]): Task<Result> {
    this.#function(name)
    const bytes = this.#pack(name, args)
    const task = new Task<Result>(name, (joined) => this.#join(joined))
    const row = this.#freeRows.pop()
    if (row === undefined) this.#heldBack.push({ task, bytes })
    else this.#queue(row, task, bytes)
    return task
  }

  #queue(row: number, task: Task<unknown>, bytes: Buffer): void {
    this.#crew.table.queue(row, bytes)
    this.#pending.set(row, task)
    this.#deque.push(row) // has as many slots as there are rows
    this.#crew.idle.notify() || this.#crew.joining.call()
  }

  /** Runs a task that was taken from a deque, to its end where it is synchronous. */
  run(row: number): void | Promise<void> {
    const { table } = this.#crew
    const end = (result: Uint8Array): void => callSpawner(this.#crew, table.end(row, result)) // perhaps of this very thread
    const result = this.#execute(table.begin(row, this.#index))
    return result instanceof Promise ? result.then(end) : end(result)
  }

  /** Whether there is something to {@link collect}. */
  get hasEnded(): boolean {
    return this.#crew.table.hasEnded(this.#index)
  }

  /** Whether there are tasks that wait for a row. */
  get holdsBack(): boolean {
    return this.#heldBack.length > 0
  }

  /** Settles the tasks that have ended, and lets as many in that were held back; returns how many it settled. */
  collect(): number {
    if (!this.hasEnded) return 0
    let settled = 0
    for (const [row, result] of this.#crew.table.ended(this.#index)) {
      this.#freeRows.push(row)
      const task = this.#pending.get(row)
      if (task === undefined) continue // of a predecessor
      this.#pending.delete(row)
      this.#settle(task, result === undefined ? lost(task.name) : (deserialize(result) as Outcome))
      settled++
    }
    while (this.holdsBack && this.#freeRows.length > 0) {
      const { task, bytes } = this.#heldBack.pop()!
      this.#queue(this.#freeRows.pop()!, task, bytes)
    }
    return settled
  }

  #settle(task: Task<unknown>, outcome: Outcome): void {
    this.#joined.delete(task)
    task.settle(outcome)
    if (this.#joined.size === 0) this.#help() // a looker that sleeps has nobody left to look for
  }

  #join(task: Task<unknown>): void {
    this.#joined.add(task)
    this.#help()
  }

  /** Sees to it that there is a looker, and that it is awake, while somebody waits. */
  #help(): void {
    if (this.#looking) this.#crew.joining.callOne(this.#index)
    else if (this.#joined.size > 0) {
      this.#looking = true
      void this.#runOthers()
    }
  }

  /**
   * Runs tasks for as long as somebody waits for one. A task that awaits lets the next in: what it waits for may be a task that
   * only this thread can run.
   */
  async #runOthers(): Promise<void> {
    await undefined // whoever joins goes on first, perhaps to spawn more
    let turnAt = performance.now() + TURN_MS
    while (this.#isAwaited()) {
      const running = this.#runOne()
      if (running === 'nothing') {
        await this.#sleep()
        continue
      }
      if (running !== undefined) {
        this.#looking = false
        this.#help()
        await running
        if (this.#looking) return
        this.#looking = true
      }
      this.collect()
      if (performance.now() < turnAt) await undefined
      else {
        await new Promise((resolve) => setImmediate(resolve))
        turnAt = performance.now() + TURN_MS
      }
    }
    this.#looking = false
  }

  #isAwaited(): boolean {
    this.collect()
    return this.#joined.size > 0
  }

  #runOne(): void | Promise<void> | 'nothing' {
    let row = this.#deque.pop()
    if (row === 'empty') {
      // All rows may be those of tasks that wait for one without.
      const next = this.#heldBack.pop()
      if (next !== undefined) return this.#runWithoutRow(next.bytes, next.task)
      row = this.#thief.steal(this.#crew.tasks)
    }
    return row === 'empty' ? 'nothing' : this.run(row)
  }

  async #sleep(): Promise<void> {
    const seat = this.#seat
    seat.lieDown()
    if (!this.hasEnded && !this.#thief.sees(this.#crew.tasks)) {
      const alive = setInterval(() => {}, NEVER_MS)
      await seat.waitAsync()
      clearInterval(alive)
    }
    seat.leave()
  }

  #runWithoutRow(bytes: Buffer, task: Task<unknown>): void | Promise<void> {
    const settle = (result: Uint8Array): void => this.#settle(task, deserialize(result) as Outcome)
    const result = this.#execute(bytes)
    return result instanceof Promise ? result.then(settle) : settle(result)
  }

  #pack(name: string, args: readonly unknown[]): Buffer {
    try {
      return serialize([name, args])
    } catch (cause) {
      throw new TaskError(refusal(`an argument of ${name}`, cause), { cause })
    }
  }

  /** Calls a function; returns, or promises, its outcome as bytes. Never throws. */
  #execute(bytes: Buffer): Buffer | Promise<Buffer> {
    const [name, args] = deserialize(bytes) as [string, unknown[]]
    try {
      const result = this.#function(name)(...args)
      if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') return returned(name, result)
      return Promise.resolve(result).then((value) => returned(name, value), threw)
    } catch (error) {
      return threw(error)
    }
  }

  #function(name: string): (...args: unknown[]) => unknown {
    const found = Object.hasOwn(this.#functions, name) ? this.#functions[name] : undefined
    if (typeof found === 'function') return found as (...args: unknown[]) => unknown
    const names = Object.keys(this.#functions).filter((each) => typeof this.#functions[each] === 'function')
    throw new TaskError(`the app's module exports no function '${name}', only: ${names.join(', ') || 'none'}`)
  }
}

function returned(name: string, value: unknown): Buffer {
  try {
    return serialize(['returned', value] satisfies Outcome)
  } catch (error) {
    return serialize(['failed', refusal(`what ${name} returned`, error)] satisfies Outcome)
  }
}

function threw(error: unknown): Buffer {
  try {
    return serialize(['threw', error] satisfies Outcome)
  } catch {
    return serialize(['threw', new Error(String(error))] satisfies Outcome)
  }
}

function lost(name: string): Outcome {
  return ['failed', `the task ${name} is lost: the thread that ran it has died`]
}

function refusal(what: string, cause: unknown): string {
  return `${what} cannot travel to another thread: ${cause instanceof Error ? cause.message : cause}`
}

/**
 * Has a worker of this server run a function that the app's module exports, with clones of these arguments (structured clone of
 * node:v8: no functions, no shared memory). Only in an app that the model work-stealing serves. The result, or the error, is
 * had by `await`, or {@link join}; of a task that nobody joins the error is not heard.
 *
 * @example
 * export async function fib(n) {
 *   if (n < 25) return n < 2 ? n : (await fib(n - 1)) + (await fib(n - 2))
 *   const half = spawn('fib', n - 1)                     // for whoever is idle
 *   return (await fib(n - 2)) + (await half)             // or for this thread, if nobody was
 * }
 * @throws TaskError where there is no such function, an argument cannot be cloned, or this is no worker's thread
 */
export function spawn<Result = unknown>(name: string, ...args: readonly unknown[]): Task<Result> {
  const { current } = Tasks
  if (current !== undefined) return current.spawn(name, args)
  throw new TaskError(
    `spawn('${name}') needs the workers of the model work-stealing, and this thread is none: serve the app on that model`,
  )
}

/**
 * Waits for a task; its thread runs others meanwhile. Rejects with what the function threw, or with a TaskError where the thread
 * that ran it died.
 */
export function join<Result>(task: Task<Result>): Promise<Result> {
  return task.then()
}
