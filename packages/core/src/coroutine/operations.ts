/** What coroutines wait for, as `yield* sleep(10)`. */

import type { Coroutine } from './coroutine.js'
import { TimeoutError } from './errors.js'
import { Operation, type Steps, type Task } from './suspension.js'

/** Lets all others that are ready have a turn. */
export function* pause(): Steps<void> {
  yield
}

/** Waits for `ms` milliseconds, 0 or more; fractions count. @throws RangeError */
export function sleep(ms: number): Operation<void> {
  return new Sleep(ms)
}

/** Waits for a promise and gives back what it is fulfilled with. @throws what it is rejected with */
export function settled<T>(promise: PromiseLike<T>): Operation<T> {
  return new Settled(promise)
}

/** Gives back the coroutine that runs this. */
export function current(): Operation<Coroutine<unknown> & Task> {
  return new Current()
}

/**
 * Runs steps for at most `ms` milliseconds and gives back what they return. Where they take longer, the `yield` at which they wait
 * throws; what they throw then, as a rule the same, is thrown here.
 * @throws TimeoutError
 */
export function* within<T>(ms: number, steps: Steps<T>): Steps<T> {
  const coroutine = yield* current()
  let late: TimeoutError | undefined
  const cancel = coroutine.host.after(ms, () => {
    late = new TimeoutError(`it was not done within ${ms} ms`)
    coroutine.interrupt(late)
  })
  try {
    return yield* steps
  } finally {
    cancel()
    if (late !== undefined) coroutine.uninterrupt(late)
  }
}

class Sleep extends Operation<void> {
  readonly #ms: number
  #cancel: (() => void) | undefined

  constructor(ms: number) {
    super()
    this.#ms = ms
  }

  get what(): string {
    return `for ${this.#ms} ms to pass`
  }

  suspend(task: Task): void {
    this.#cancel = task.host.after(this.#ms, () => task.resume())
  }

  abandon(): void {
    this.#cancel?.()
  }
}

class Settled<T> extends Operation<T> {
  readonly #promise: PromiseLike<T>
  #task: Task | undefined

  constructor(promise: PromiseLike<T>) {
    super()
    this.#promise = promise
  }

  get what(): string {
    return 'for a promise'
  }

  suspend(task: Task): void {
    this.#task = task
    task.host.ledger.pending++
    this.#promise.then(
      (value) => this.#leave()?.resume(value),
      (error) => this.#leave()?.fail(error),
    )
  }

  abandon(): void {
    this.#leave()
  }

  /** Lets go of the task, if it is waiting still. */
  #leave(): Task | undefined {
    const task = this.#task
    this.#task = undefined
    if (task !== undefined) task.host.ledger.pending--
    return task
  }
}

class Current extends Operation<Coroutine<unknown> & Task> {
  suspend(task: Task): void {
    task.resume(task)
  }

  abandon(): void {}
}
