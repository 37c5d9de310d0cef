/**
 * HTTP on a connection as straight-line code, for a coroutine:
 *
 *   while ((request = yield* conversation.read()) !== undefined) {
 *     const response = yield* conversation.process(request)
 *     yield* conversation.write(response)
 *   }
 *
 * Whoever waits for descriptors calls `ready()` when the connection's is ready for what it waits for. The coroutine then goes on, if it
 * waits for its client. While it waits for something else, a handler say, what the client sends is taken for it here: the handler may be
 * reading the body, and a client that leaves ends the coroutine, whose finally blocks run.
 *
 * A handler may be a generator too: then it runs as a part of this coroutine, and may wait for whatever a coroutine can.
 * Owner thread only.
 */

import { CLOSED, type Connection, clientGone, type FetchApp, WRITABLE } from '../connection/index.js'
import type { Coroutine } from './coroutine.js'
import { CancelledError } from './errors.js'
import { settled } from './operations.js'
import type { Steps, Suspension, Task } from './suspension.js'

/** Tells a demultiplexer what a connection waits for now, if that has changed. */
export type Watch = (connection: Connection) => void

export class Conversation implements Suspension {
  readonly connection: Connection
  readonly what = 'for its client'
  /** Who converses; set by whoever spawns it, so that it ends when the client is gone. */
  coroutine: Coroutine<unknown> | undefined
  readonly #watch: Watch
  /** The coroutine, while it waits for its client. */
  #task: Task | undefined

  /** `watch` is called whenever the connection may wait for something else. */
  constructor(connection: Connection, watch: Watch) {
    this.connection = connection
    this.#watch = watch
    connection.onProgress = watch
  }

  /** Waits for the next request and gives it; undefined once the connection is closed. */
  *read(): Steps<Request | undefined> {
    const { connection } = this
    connection.begin()
    for (;;) {
      const request = connection.next()
      if (request !== undefined) return request
      if (this.#rest() === CLOSED) return undefined
      yield this
      connection.take()
    }
  }

  /** Has the app handle a request, waits for its answer and gives that; where the handler throws, a 500. */
  *process(request: Request): Steps<Response> {
    const { connection } = this
    let answer: unknown
    try {
      answer = connection.call(request)
      if (isPromise(answer)) {
        this.#rest()
        answer = yield* settled(answer)
        connection.begin()
      } else if (isSteps(answer)) {
        this.#rest()
        answer = yield* answer
        connection.begin()
      }
    } catch (error) {
      if (this.#isCancellation(error)) throw error
      connection.begin()
      return connection.failure(error)
    }
    return answer as Response
  }

  /** Sends a response, and waits until the client has taken it; where the next request is there already, not before that is answered. */
  *write(response: Response): Steps<void> {
    const { connection } = this
    const stream = connection.respond(response)
    if (stream !== undefined) yield* this.#copy(stream)
    if (connection.hasMore) return
    this.#rest()
    while (connection.delivering) {
      yield this
      connection.take()
      this.#rest()
    }
  }

  /** Closes the connection if it is open still. */
  end(): void {
    this.connection.close()
    this.#rest() // what an error may have left in the thread's output is nobody's
  }

  /** The descriptor is ready for what the connection waits for. */
  ready(): void {
    const task = this.#task
    if (task === undefined) return this.#attend()
    this.#task = undefined
    task.resume()
  }

  /** The connection has been closed: ends the coroutine, if it has not. */
  gone(): void {
    this.coroutine?.cancel()
  }

  suspend(task: Task): void {
    this.#task = task
  }

  abandon(): void {
    this.#task = undefined
  }

  /** Copies a stream to the client, no faster than the client reads. */
  *#copy(stream: ReadableStream<Uint8Array>): Steps<void> {
    const { connection } = this
    const reader = stream.getReader()
    let whole = false
    let error: unknown
    try {
      while (!whole) {
        while (this.#rest() === WRITABLE) {
          yield this
          connection.take()
        }
        const { done, value } = yield* settled(reader.read())
        connection.begin()
        if (done) whole = true
        else connection.write(value)
      }
    } catch (reason) {
      if (this.#isCancellation(reason)) throw reason
      connection.begin()
      error = reason
    } finally {
      if (!whole) reader.cancel(error ?? clientGone()).catch(() => {})
      connection.finish(whole, error)
    }
  }

  /** Takes what the client sends while the coroutine waits for something else. */
  #attend(): void {
    this.connection.take()
    if (this.#rest() === CLOSED) this.gone()
  }

  /** A handler may fail of another's cancellation, or be cancelled and fail of something else. */
  #isCancellation(error: unknown): boolean {
    return error instanceof CancelledError && this.coroutine?.isCancelled === true
  }

  /** Leaves the connection alone until something happens to it. */
  #rest(): number {
    this.connection.rest()
    this.#watch(this.connection)
    return this.connection.waiting
  }
}

/** Types a generator as a fetch handler, for `serve({ fetch: handler(function* (request) { … }) })`. */
export function handler(steps: (request: Request) => Steps<Response>): FetchApp['fetch'] {
  return steps as unknown as FetchApp['fetch']
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function'
}

function isSteps(value: unknown): value is Steps<unknown> {
  return typeof (value as Steps<unknown> | undefined)?.next === 'function'
}
