/**
 * The stack of a fiber: the calls that it is in, kept by itself.
 *
 * A generator that calls another by `yield*` is resumed through it: to go on in the innermost of N calls, N generators are gone
 * through. Here a call gives its generator up to the stack (`yield* call(nested())`), which runs the topmost frame alone:
 *
 *   below │ converse ── call(process()) ──▶ │        what top yields, but a frame, goes to the scheduler
 *         │ process  ── call(handler()) ──▶ │        what top returns or throws, the frame below it gets
 *   top   │ handler  ── sleep(10)           │        resumed directly, at any depth
 *
 * To a scheduler a stack is one generator, so a fiber is a coroutine that brings its stack.
 */

import { CancelledError, named, type Steps, type Suspension } from '@cs/core/coroutine'

/** A frame: the control flow of one call. */
// biome-ignore lint/suspicious/noExplicitAny: the frames of a stack return values of any type
type Frame = Steps<any>

/**
 * Calls `steps` and gives back what they return, as `yield*` alone does, with a frame of its own on the fiber's stack. In a fiber only.
 * @throws what they throw
 */
export function* call<T>(steps: Steps<T>): Steps<T> {
  return yield steps as unknown as Suspension
}

/** Ends a fiber that threw: says which one it was, and has its error as `cause`. */
export class FiberPanic extends Error {
  readonly code: string = 'ERR_CS_FIBER_PANIC'
  override readonly name: string = 'FiberPanic'
  /** The name of the fiber. */
  readonly fiber: string

  constructor(fiber: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(`${named('fiber', fiber)} panicked: ${reason}`, { cause })
    this.fiber = fiber
  }
}

export class Stack<T> implements Steps<T> {
  readonly #name: string
  #top: Frame
  /** The frames below the top, the outermost first; undefined until there is one. */
  #below: Frame[] | undefined

  /** @param name is what the fiber's panic says */
  constructor(steps: Steps<T>, name: string) {
    this.#top = steps
    this.#name = name
  }

  /** Frames on the stack. */
  get depth(): number {
    return 1 + (this.#below?.length ?? 0)
  }

  next(value?: unknown): IteratorResult<Suspension | undefined, T> {
    return this.#run(false, value)
  }

  throw(error: unknown): IteratorResult<Suspension | undefined, T> {
    return this.#run(true, error)
  }

  /** Ends the frames, the top first, as far as their finally blocks do not wait. */
  return(value: T): IteratorResult<Suspension | undefined, T> {
    for (let frame: Frame | undefined = this.#top; frame !== undefined; frame = this.#below?.pop()) frame.return(value)
    return { done: true, value }
  }

  [Symbol.iterator](): this {
    return this
  }

  [Symbol.dispose](): void {
    this.return(undefined as T)
  }

  /** Runs the top until it waits, going up with each call and down with each return. */
  #run(throwing: boolean, given: unknown): IteratorResult<Suspension | undefined, T> {
    let throws = throwing
    let value = given
    for (;;) {
      try {
        const result = throws ? this.#top.throw(value) : this.#top.next(value)
        throws = false
        if (result.done) {
          if (!this.#pop()) return result
          value = result.value
        } else if (isFrame(result.value)) {
          this.#push(result.value)
          value = undefined
        } else return result
      } catch (error) {
        if (!this.#pop()) throw this.#panic(error)
        throws = true
        value = error
      }
    }
  }

  #push(frame: Frame): void {
    if (this.#below === undefined) this.#below = [this.#top]
    else this.#below.push(this.#top)
    this.#top = frame
  }

  #pop(): boolean {
    const frame = this.#below?.pop()
    if (frame === undefined) return false
    this.#top = frame
    return true
  }

  /** A fiber that fails because another did names that one. */
  #panic(error: unknown): unknown {
    if (error instanceof CancelledError || error instanceof FiberPanic) return error
    return new FiberPanic(this.#name, error)
  }
}

function isFrame(yielded: unknown): yielded is Frame {
  return yielded !== undefined && (yielded as Frame).next !== undefined
}
