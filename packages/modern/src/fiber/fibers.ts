import { type Coroutine, drive, Operation, Scheduler, type Steps, type Task } from '@cs/core/coroutine'
import { Stack } from './stack.js'

/** A fiber that was spawned: a coroutine with a stack of its own. */
export type Fiber<T> = Coroutine<T>

export interface FiberSettings {
  /** How often in a turn a fiber may go on with what can be had at once, before others have theirs. Default: 64. */
  readonly budget?: number
  /** Is told of a fiber that panics and that nobody has joined. Default: the run ends with the panic. */
  readonly onPanic?: (panic: unknown, fiber: Fiber<unknown>) => void
}

/** What a fiber does: a generator, or a function that makes one, from which it has its name. */
export type Body<T> = Steps<T> | (() => Steps<T>)

/** Starts a fiber beside the one that runs; it has its first turn after that. `yield* spawn(work(), 'worker')`. */
export function spawn<T>(body: Body<T>, name?: string): Operation<Fiber<T>> {
  return new Spawn(body, name)
}

/** Starts a fiber on a scheduler. */
export function spawnOn<T>(scheduler: Pick<Scheduler, 'spawn'>, body: Body<T>, name: string = nameOf(body)): Fiber<T> {
  return scheduler.spawn(new Stack(typeof body === 'function' ? body() : body, name), name)
}

/**
 * Runs a fiber, and those that it spawns, on the thread's own loop until it ends, and gives back what it returns. Those that are left
 * then are cancelled.
 * @throws FiberPanic where a fiber throws, unless another joins it; DeadlockError where all wait for one another
 */
export async function run<T>(body: Body<T>, settings: FiberSettings = {}): Promise<T> {
  const { budget, onPanic } = settings
  let fail: (panic: unknown) => void = () => {}
  const panicked = new Promise<never>((_, reject) => {
    fail = reject
  })
  const scheduler = new Scheduler({ ...(budget === undefined ? {} : { budget }), onError: onPanic ?? fail })
  try {
    return await Promise.race([panicked, drive(scheduler, spawnOn(scheduler, body, nameOf(body) || 'main'))])
  } finally {
    scheduler.close()
  }
}

function nameOf(body: Body<unknown>): string {
  return typeof body === 'function' ? body.name : ''
}

class Spawn<T> extends Operation<Fiber<T>> {
  readonly #body: Body<T>
  readonly #name: string | undefined

  constructor(body: Body<T>, name: string | undefined) {
    super()
    this.#body = body
    this.#name = name
  }

  suspend(task: Task): void {
    task.resume(spawnOn(task.host, this.#body, this.#name))
  }

  abandon(): void {}
}
