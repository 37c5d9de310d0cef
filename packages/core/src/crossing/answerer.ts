/**
 * The side that runs handlers: takes a request, makes it what the app expects, and sends back what the app gave.
 *
 *   queue ─▶ Request ─▶ app.fetch ─▶ Response ─▶ reply          inbox ─▶ more of a body, room for more, the client has gone
 *
 * A handler that awaits does not hold its thread: the thread goes on in Node's own event loop, where it takes other requests
 * and what comes for those that it has. One that blocks or computes holds it, which is what the thread is for.
 */

import { inspect } from 'node:util'
import { ERRORS, REQUESTS, type Service } from '../connection/index.js'
import {
  abortRequest,
  bodySizeOf,
  isResponse,
  LightResponse,
  RequestBody,
  reasonOf,
  requestFrom,
  takeBody,
} from '../http/index.js'
import type { WorkloadRow } from '../loop/index.js'
import type { Crossing } from './crossing.js'
import {
  ABORT,
  ABORTED,
  BODY,
  BODY_END,
  BODY_FAILED,
  BODY_FOLLOWS,
  BROKEN,
  bodyOf,
  CANCEL,
  CHUNK,
  CHUNKS_FOLLOW,
  CREDIT,
  END,
  failureOf,
  INLINE_BYTES,
  pieceOf,
  piecesOf,
  readRequest,
  TAKEN,
  USES_BODY,
  WANT,
  WINDOW_BYTES,
  writeFailure,
  writePiece,
  writeResponse,
  writeWhole,
} from './records.js'
import { A, FLAGS, ID, KIND, SENDER, Sheet, STAMP } from './sheet.js'

/** Rounds of promise reactions that are run on the spot before a thread goes to sleep: most handlers need fewer. */
const ROUNDS = 6

/** Milliseconds, longer than anybody waits: a timer that keeps Node's event loop alive while the thread sleeps in it. */
const NEVER_MS = 2 ** 30

export class Answerer {
  readonly #crossing: Crossing
  readonly #number: number
  readonly #service: Service
  readonly #workload: WorkloadRow
  /** What comes in, and what goes out. */
  readonly #sheet = new Sheet()
  readonly #reply = new Sheet()
  /** What has been taken and is not over, by its id. */
  readonly #exchanges = new Map<number, Exchange>()
  readonly #alive = setInterval(() => {}, NEVER_MS)
  #isDismissed = false

  /** The answerer with this number, one a thread; what it does is noted in its row of the workload. */
  constructor(crossing: Crossing, number: number, service: Service, workload: WorkloadRow) {
    this.#crossing = crossing
    this.#number = number
    this.#service = service
    this.#workload = workload
  }

  /** Handlers, and streams of theirs, that go on. */
  get pending(): number {
    return this.#exchanges.size
  }

  /** True where nothing more will come: the crossing is closed and empty, or this thread is dismissed; and all is answered. */
  get isDone(): boolean {
    if (this.#exchanges.size > 0) return false
    return this.#isDismissed || (this.#crossing.closed && !this.#hasMore)
  }

  /** Takes what was left for this thread and, unless it is to leave, one request; tells whether there was any. */
  takes(): boolean {
    let any = false
    for (; this.#crossing.receive(this.#number, this.#sheet); any = true) this.#heed(this.#sheet)
    if (!this.#isDismissed && this.#crossing.isDismissed()) {
      this.#isDismissed = true
      this.#crossing.call() // it may have been called for a request
    }
    if (this.#isDismissed || !this.#crossing.take(this.#sheet)) return any
    this.#serve(this.#sheet)
    return true
  }

  /** Blocks until there is something to take, for so many milliseconds at most; false where they passed. */
  sleep(milliseconds: number): boolean {
    if (this.#liesDown()) this.#crossing.bell(this.#number).sleep(milliseconds)
    this.#crossing.arrive(this.#number)
    return this.#crossing.closed || this.#hasMore
  }

  /** Waits for the same, or for the last handler to end, in Node's event loop, so that handlers go on. */
  async sleepInLoop(): Promise<void> {
    await this.settle()
    if (this.#exchanges.size === 0) return
    if (this.#liesDown()) {
      this.#service.appRan = false // it gets its turn now
      await this.#crossing.bell(this.#number).sleepInLoop()
    }
    this.#crossing.arrive(this.#number)
    this.#service.tick()
  }

  /** Lets handlers that await go on as far as promises carry them. */
  async settle(): Promise<void> {
    for (let round = 0; round < ROUNDS && this.#exchanges.size > 0; round++) await undefined
  }

  /** Gives back what keeps the thread's event loop alive. */
  close(): void {
    clearInterval(this.#alive)
  }

  /** True where there is something that this thread is to take. */
  get #hasMore(): boolean {
    return this.#crossing.hasMail(this.#number) || (!this.#isDismissed && this.#crossing.hasRequests)
  }

  /** Says that the thread sleeps; false where something has come meanwhile. */
  #liesDown(): boolean {
    this.#service.tick()
    this.#workload.ends(this.#service.time)
    this.#service.rest()
    this.#crossing.bell(this.#number).lieDown()
    return !(this.#crossing.closed && this.#exchanges.size === 0) && !this.#hasMore
  }

  #serve(sheet: Sheet): void {
    const service = this.#service
    const { words } = sheet
    const id = words[ID]
    service.tick()
    this.#workload.takes(Math.max(0, (service.time * 1000 - words[STAMP]) | 0) / 1000, service.time)
    const exchange = new Exchange(id, words[SENDER])
    const incoming = readRequest(sheet)
    const body = bodyOf(sheet)
    if (body !== undefined || words[FLAGS] & BODY_FOLLOWS) {
      exchange.body = incoming.body = new RequestBody(() => this.#want(exchange))
      if (body !== undefined) {
        exchange.body.push(body)
        exchange.body.end()
      }
    }
    exchange.request = requestFrom(incoming)
    if (words[FLAGS] & ABORTED) abortRequest(exchange.request, gone())
    this.#crossing.hold(this.#number, id)
    service.appRan = true
    service.counters[REQUESTS]++
    this.#exchanges.set(id, exchange)
    this.#ask(exchange)
    this.#crossing.hold(this.#number, 0)
  }

  #ask(exchange: Exchange): void {
    let answer: Response | PromiseLike<Response>
    try {
      answer = this.#service.app.fetch(exchange.request)
    } catch (error) {
      return this.#fail(exchange, error)
    }
    if (typeof (answer as PromiseLike<Response>)?.then !== 'function')
      return this.#respond(exchange, answer as Response)
    this.#reply.begin(TAKEN, exchange.id, this.#number, 0)
    this.#send(exchange)
    ;(answer as PromiseLike<Response>).then(
      (response) => this.#respond(exchange, response),
      (error) => this.#fail(exchange, error),
    )
  }

  #respond(exchange: Exchange, response: Response): void {
    let body: ReturnType<typeof takeBody>
    try {
      if (!isResponse(response)) throw new TypeError(`it gave ${inspect(response)}, not a Response`)
      const size = bodySizeOf(response)
      const flags = exchange.body?.used && !exchange.body.ended ? USES_BODY : 0
      body = takeBody(response)
      const isHere = !(body instanceof ReadableStream) && (size ?? 0) <= INLINE_BYTES
      if (isHere)
        writeWhole(this.#reply, exchange.id, this.#number, response, body as string | Uint8Array | null, flags)
      else writeResponse(this.#reply, exchange.id, this.#number, response, flags | CHUNKS_FOLLOW, 0, size)
      if (isHere) body = null
    } catch (error) {
      return this.#fail(exchange, error)
    }
    this.#send(exchange)
    if (body === null) this.#end(exchange)
    else this.#stream(exchange, body)
  }

  /** A handler that throws, or answers with no response, costs its client a 500 and nobody else anything. */
  #fail(exchange: Exchange, error: unknown): void {
    this.#service.counters[ERRORS]++
    this.#service.log('the handler failed', error)
    const text = `500 ${reasonOf(500)}\n`
    writeWhole(this.#reply, exchange.id, this.#number, new LightResponse(text, { status: 500 }), text, 0)
    this.#send(exchange)
    this.#end(exchange)
  }

  /** Sends a body that did not go with its head, no faster than the client's side takes it. */
  async #stream(exchange: Exchange, body: string | Uint8Array | ReadableStream<Uint8Array>): Promise<void> {
    try {
      if (body instanceof ReadableStream) {
        const reader = body.getReader()
        exchange.reader = reader
        for (;;) {
          const { done, value } = await reader.read()
          if (done || exchange.isCancelled) break
          if (!(value instanceof Uint8Array)) throw new TypeError('a response stream must give Uint8Array chunks')
          await this.#sendPieces(exchange, value)
        }
      } else await this.#sendPieces(exchange, typeof body === 'string' ? Buffer.from(body) : body)
      if (exchange.isCancelled) return
      this.#reply.begin(END, exchange.id, this.#number, 0)
    } catch (error) {
      if (exchange.isCancelled) return
      exchange.reader?.cancel(error).catch(() => {})
      writeFailure(this.#reply, BROKEN, exchange.id, this.#number, error)
    }
    this.#send(exchange)
    this.#end(exchange)
  }

  async #sendPieces(exchange: Exchange, bytes: Uint8Array): Promise<void> {
    for (const piece of piecesOf(bytes)) {
      while (exchange.credit <= 0 && !exchange.isCancelled) await exchange.hasCredit()
      if (exchange.isCancelled) return
      exchange.credit -= piece.length
      writePiece(this.#reply, CHUNK, exchange.id, this.#number, piece)
      this.#send(exchange)
    }
  }

  #send({ caller }: Exchange): void {
    this.#crossing.reply(caller, this.#reply)
  }

  /** Takes in what came for a request that was taken before. */
  #heed(sheet: Sheet): void {
    const { words } = sheet
    const exchange = this.#exchanges.get(words[ID])
    if (exchange === undefined) return // it is over
    const { body } = exchange
    this.#service.appRan = true
    switch (words[KIND]) {
      case BODY:
        exchange.window -= words[A]
        body!.push(pieceOf(sheet))
        return this.#want(exchange)
      case BODY_END:
        return body!.end()
      case BODY_FAILED:
        return body!.fail(failureOf(sheet))
      case ABORT:
        return abortRequest(exchange.request, gone())
      case CREDIT:
        return exchange.addCredit(words[A])
      case CANCEL:
        exchange.isCancelled = true
        exchange.addCredit(0)
        exchange.reader?.cancel(gone()).catch(() => {})
        return this.#end(exchange)
    }
  }

  /** Asks for more of a request's body while somebody reads it, in a few large steps. */
  #want(exchange: Exchange): void {
    const { body, window } = exchange
    if (body?.used !== true || !body.wanted || window > WINDOW_BYTES / 2 || !this.#exchanges.has(exchange.id)) return
    this.#reply.begin(WANT, exchange.id, this.#number, 0)
    this.#reply.words[A] = WINDOW_BYTES - window
    exchange.window = WINDOW_BYTES
    this.#send(exchange)
  }

  #end(exchange: Exchange): void {
    if (!this.#exchanges.delete(exchange.id)) return
    exchange.body?.fail(new Error('the response was complete before the request body was read'))
    if (this.#exchanges.size === 0) this.#crossing.stir(this.#number) // it may sleep in Node's event loop, and need not
  }
}

/** One request and its answer. */
class Exchange {
  readonly id: number
  readonly caller: number
  request!: Request
  body: RequestBody | undefined
  /** What has been asked of the body of the request and has not come, in bytes. */
  window = 0
  /** What may still be sent of the body of the response, in bytes. */
  credit = WINDOW_BYTES
  isCancelled = false
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  #resume: (() => void) | undefined

  constructor(id: number, caller: number) {
    this.id = id
    this.caller = caller
  }

  addCredit(bytes: number): void {
    this.credit += bytes
    this.#resume?.()
    this.#resume = undefined
  }

  hasCredit(): Promise<void> {
    return new Promise((resolve) => (this.#resume = resolve))
  }
}

/** What a signal fires with when its client is gone. */
function gone(): DOMException {
  return new DOMException('The client closed the connection.', 'AbortError')
}
