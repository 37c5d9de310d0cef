/**
 * What passes between a coroutine and whoever runs it.
 *
 * A coroutine is a generator. To wait it yields a suspension; whoever runs it then calls `suspend(task)`, and the suspension sees to
 * it that `task.resume(value)` or `task.fail(error)` is called, at once or later. What `yield` gives back is that value.
 *
 *   coroutine ── yield suspension ─▶ scheduler ── suspend(task) ─▶ suspension ── … ── task.resume(value) ─▶ scheduler ─▶ coroutine
 *
 * A task that is interrupted while it waits tells the suspension by `abandon`; from then on it must not be resumed by that one.
 * `yield` with nothing lets all others have a turn. Everything here is for one thread.
 */

import type { Coroutine } from './coroutine.js'

/** A coroutine as those see it who have it wait. */
export interface Task {
  /** What runs it. */
  readonly host: TaskHost
  /** Has it go on, with what the `yield` gives back. Does nothing where it does not wait. */
  resume(value?: unknown): void
  /** Has the `yield` throw. Does nothing where it does not wait. */
  fail(error: unknown): void
}

/** What runs tasks, as suspensions see it. */
export interface TaskHost {
  /** Calls back in `ms` milliseconds, unless what it returns is called before. */
  after(ms: number, callback: () => void): () => void
  /** Starts another task. */
  spawn<T>(steps: Steps<T>, name?: string): Coroutine<T>
  /** Counts what Node's own loop will bring about, so that it gets its turns. */
  readonly ledger: TaskLedger
}

/** What tasks leave to Node's own loop; a Service is one. */
export interface TaskLedger {
  /** True once tasks have run since the loop's last turn. */
  appRan: boolean
  /** Promises that are awaited. */
  pending: number
}

/** Something to wait for. */
export interface Suspension {
  /** Arranges for the task, which has just been suspended, to be resumed. */
  suspend(task: Task): void
  /** Forgets the task, which waits no more. */
  abandon(task: Task): void
  /** What is waited for, in words that follow 'waits'. */
  readonly what?: string
}

/**
 * The control flow of a coroutine that ends with a `T`. `yield* steps` is a call; what a bare `yield` gives back is what the
 * suspension promises.
 */
// biome-ignore lint/suspicious/noExplicitAny: each suspension gives back a value of its own type
export type Steps<T> = Generator<Suspension | undefined, T, any>

/** A suspension that one waits for by `yield*`, which gives back a `T`. */
export abstract class Operation<T> implements Suspension {
  abstract suspend(task: Task): void
  abstract abandon(task: Task): void

  *[Symbol.iterator](): Steps<T> {
    return yield this
  }
}
