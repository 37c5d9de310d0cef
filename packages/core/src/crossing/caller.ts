/**
 * The side that has the connections: it stands where an app would, sends requests across and gives back what comes.
 *
 *   connection ─▶ fetch ─▶ record ─▶ queue … (another thread) … reply ─▶ the answer ─▶ connection
 *
 * An answer is no promise but something with a `then` that is called while the record is at hand: a short response costs no
 * turn of anything. Bodies that are not short are streams here, and move as far as their reader has made room.
 */

import { type FetchApp, HandlerLost, REQUESTS, type Service } from '../connection/index.js'
import { incomingOf, type ParsedRequest } from '../http/index.js'
import type { Bell } from './bell.js'
import type { Crossing } from './crossing.js'
import {
  ABORT,
  ABORTED,
  BODY,
  BODY_END,
  BODY_FAILED,
  BODY_FOLLOWS,
  BROKEN,
  CANCEL,
  CHUNK,
  CHUNKS_FOLLOW,
  CREDIT,
  DIED,
  END,
  failureOf,
  INLINE_BYTES,
  pieceOf,
  piecesOf,
  RESPONSE,
  readResponse,
  TAKEN,
  USES_BODY,
  WANT,
  WINDOW_BYTES,
  writeFailure,
  writePiece,
  writeRequest,
} from './records.js'
import { A, FLAGS, ID, KIND, SENDER, Sheet, STAMP } from './sheet.js'

/** Bits of an id that say in which life of a caller it was given. */
const LIFE_BITS = 6
const MOST_SERIAL: number = 2 ** (31 - LIFE_BITS)

/** Milliseconds after which another is called for what nobody has taken. */
const CALL_AGAIN_MS = 1

/** The thread that handles a request is not known while it is in the queue. */
const NOBODY = -1

export class Caller implements FetchApp {
  readonly #bell: Bell
  readonly #crossing: Crossing
  readonly #number: number
  readonly #service: Service
  readonly #life: number
  #serial = 0
  /** What comes in, and what goes out: the one may be answered while the other is read. */
  readonly #reply = new Sheet()
  readonly #sheet = new Sheet()
  /** What has not been answered to the end, by its id. */
  readonly #exchanges = new Map<number, Exchange>()
  /** What found the queue full, oldest first. */
  #waiting: Exchange[] = []
  /** What found an inbox full. */
  #unsent: { readonly answerer: number; readonly record: Sheet }[] = []
  #unanswered = 0
  #bodies = 0

  /** The caller with this number, one a thread; takes the place of the service's app. */
  constructor(crossing: Crossing, number: number, service: Service) {
    this.#crossing = crossing
    this.#number = number
    this.#service = service
    this.#life = crossing.startCaller() & (2 ** LIFE_BITS - 1)
    this.#bell = crossing.callerBell(number)
    service.app = this
  }

  /** Sends a request across; what it returns is settled by {@link receive}. */
  fetch(request: Request): Promise<Response> {
    const exchange = new Exchange(this, this.#nextId(), incomingOf(request) as ParsedRequest)
    this.#exchanges.set(exchange.id, exchange)
    this.#service.counters[REQUESTS]-- // counted by the thread that handles it
    this.#unanswered++
    if (this.#waiting.length > 0 || !this.#cross(exchange)) this.#wait(exchange)
    return exchange as unknown as Promise<Response> // a connection needs no more than its `then`
  }

  /** True while requests wait for room in the queue: nothing more should be read from clients. */
  get isFull(): boolean {
    return this.#waiting.length > 0
  }

  /**
   * Lets what moves here by promises come to rest. A tick of Node comes when no promise reaction is left to run, and these are
   * streams between connections and the other side: nothing here waits for libuv, which needs no turn.
   */
  async settle(): Promise<void> {
    const service = this.#service
    if (!service.appRan || this.#pending === 0) return
    service.appRan = false
    await new Promise<void>((resolve) => process.nextTick(resolve))
  }

  /** Requests that are on the other side, or on their way. */
  get size(): number {
    return this.#exchanges.size
  }

  /** Bodies that move; short requests and responses need no promise. */
  get #pending(): number {
    return this.#service.pending - this.#unanswered + this.#bodies
  }

  /** Takes what came back, and sends what waited for room; tells whether anything came. */
  receive(): boolean {
    let any = false
    for (; this.#crossing.collect(this.#number, this.#reply); any = true) this.#take(this.#reply)
    while (this.#unsent.length > 0) {
      const { answerer, record } = this.#unsent[0]
      if (this.#crossing.send(answerer, record) === 'full') break
      this.#unsent.shift()
    }
    let crossed = 0
    while (crossed < this.#waiting.length && this.#cross(this.#waiting[crossed])) crossed++
    if (crossed > 0) this.#waiting = this.#waiting.slice(crossed)
    return any
  }

  /**
   * Calls answerers for what was sent, and says that the thread is about to wait. Returns the milliseconds for which it may:
   * `timeout` (-1: for ever), 0 where something has come meanwhile, and few while requests wait: who was called may itself
   * wait for a processor, behind a handler that computes, while another would have one.
   */
  lieDown(timeout: number): number {
    this.#crossing.call()
    this.#bell.lieDown()
    if (this.#crossing.hasReplies(this.#number)) return 0
    if (!this.#crossing.hasRequests) return timeout
    return timeout < 0 ? CALL_AGAIN_MS : Math.min(timeout, CALL_AGAIN_MS)
  }

  /** Says that the thread is awake: whoever replies need not ring. */
  rise(): void {
    this.#bell.rise()
  }

  /** Tells the thread that handles a request something about it, if that thread still has it. */
  tell(exchange: Exchange, kind: number, value = 0): void {
    if (!this.#exchanges.has(exchange.id)) return // the thread may have left, and nobody would read it
    this.#sheet.begin(kind, exchange.id, this.#number, 0)
    this.#sheet.words[A] = value
    this.#send(exchange.answerer, this.#sheet)
  }

  /** Leaves a record for an answerer, now or when there is room. */
  #send(answerer: number, record: Sheet): void {
    if (this.#unsent.length === 0 && this.#crossing.send(answerer, record) !== 'full') return
    const kept = new Sheet(record.length)
    kept.copy(record)
    this.#unsent.push({ answerer, record: kept })
  }

  /** Tells the handler's side that nobody reads its stream any more. */
  cancel(exchange: Exchange): void {
    this.tell(exchange, CANCEL)
    this.#exchanges.delete(exchange.id)
  }

  /** Sends the body of a request as far as the handler wants it. */
  async #pump(exchange: Exchange): Promise<void> {
    if (exchange.pumping) return
    exchange.pumping = true
    this.#bodies++
    try {
      exchange.reader ??= exchange.incoming.body!.stream().getReader()
      while (exchange.window > 0 && this.#exchanges.has(exchange.id)) {
        const { done, value } = await exchange.reader.read()
        if (done) {
          this.tell(exchange, BODY_END)
          break
        }
        if (this.#exchanges.has(exchange.id)) this.#sendPieces(exchange, value)
      }
    } catch (error) {
      if (this.#exchanges.has(exchange.id)) {
        writeFailure(this.#sheet, BODY_FAILED, exchange.id, this.#number, error)
        this.#send(exchange.answerer, this.#sheet)
      }
    }
    this.#bodies--
    exchange.pumping = false
  }

  #sendPieces(exchange: Exchange, bytes: Uint8Array): void {
    for (const piece of piecesOf(bytes)) {
      writePiece(this.#sheet, BODY, exchange.id, this.#number, piece)
      this.#send(exchange.answerer, this.#sheet)
      exchange.window -= piece.length
    }
  }

  #wait(exchange: Exchange): void {
    if (this.#waiting.length === 0) this.#crossing.stall()
    this.#waiting.push(exchange)
  }

  /** Puts a request into the queue if there is room. */
  #cross(exchange: Exchange): boolean {
    const { incoming, id } = exchange
    const source = exchange.takesBody ? incoming.body! : undefined
    const isHere = source?.ended === true && source.waiting <= INLINE_BYTES
    exchange.inline ??= isHere ? (source.buffered() as Uint8Array) : undefined
    const flags = (source === undefined || isHere ? 0 : BODY_FOLLOWS) | (exchange.aborted ? ABORTED : 0)
    writeRequest(this.#sheet, id, this.#number, incoming, exchange.inline, flags)
    this.#sheet.words[STAMP] = exchange.since
    if (this.#crossing.put(this.#sheet) === 'full') return false
    exchange.inline = undefined
    return true
  }

  #take(sheet: Sheet): void {
    const { words } = sheet
    if (words[KIND] === DIED) return this.#bury(words[SENDER], words[A])
    const exchange = this.#exchanges.get(words[ID])
    if (exchange === undefined) return // of a life before this
    exchange.answerer = words[SENDER]
    switch (words[KIND]) {
      case TAKEN:
        if (exchange.aborted) this.tell(exchange, ABORT)
        return
      case WANT:
        this.#service.appRan = true
        exchange.window += words[A]
        return void this.#pump(exchange)
      case RESPONSE:
        return this.#answer(exchange, sheet)
      case CHUNK:
        this.#service.appRan = true
        return exchange.enqueue(new Uint8Array(pieceOf(sheet)))
      case END:
      case BROKEN:
        this.#service.appRan = true
        this.#exchanges.delete(exchange.id)
        return exchange.endStream(words[KIND] === END ? undefined : failureOf(sheet))
    }
  }

  #answer(exchange: Exchange, sheet: Sheet): void {
    const flags = sheet.words[FLAGS]
    const follows = (flags & CHUNKS_FOLLOW) !== 0
    if (flags & USES_BODY && exchange.takesBody) exchange.reader ??= exchange.incoming.body!.stream().getReader()
    if (follows) this.#service.appRan = true
    else this.#exchanges.delete(exchange.id)
    this.#unanswered--
    const stream = follows ? exchange.openStream() : undefined
    exchange.resolve(readResponse(sheet, stream))
    if (stream?.locked === false) stream.cancel().catch(() => {}) // the client has gone: nobody took it
  }

  /** Ends what a thread had that died: as where a whole server dies, its clients see the connection close. */
  #bury(answerer: number, held: number): void {
    for (const exchange of this.#exchanges.values()) {
      if (exchange.answerer !== answerer && exchange.id !== held) continue
      this.#exchanges.delete(exchange.id)
      const error = new HandlerLost('the thread that ran the handler has died')
      if (exchange.isStreaming) {
        this.#service.appRan = true
        exchange.endStream(error)
      } else {
        this.#unanswered--
        exchange.reject(error)
      }
    }
  }

  #nextId(): number {
    do this.#serial = (this.#serial % (MOST_SERIAL - 1)) + 1
    while (this.#exchanges.has(this.#serial * 2 ** LIFE_BITS + this.#life))
    return this.#serial * 2 ** LIFE_BITS + this.#life
  }

  /** The time on the service's clock in µs, wrapping at 2^32: how long a request waits is what passes from then. */
  get stamp(): number {
    return (this.#service.time * 1000) | 0
  }
}

/** One request and its answer. */
class Exchange implements PromiseLike<Response> {
  readonly id: number
  readonly incoming: ParsedRequest
  readonly since: number
  answerer: number = NOBODY
  aborted = false
  /** The body of the request where it came with it. */
  inline: Uint8Array | undefined
  /** What the handler still wants of the body, in bytes. */
  window = 0
  pumping = false
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  resolve!: (response: Response) => void
  reject!: (error: Error) => void
  readonly #caller: Caller
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  /** What the other side may still send of its body, in bytes. */
  #granted = WINDOW_BYTES

  constructor(caller: Caller, id: number, incoming: ParsedRequest) {
    this.#caller = caller
    this.id = id
    this.incoming = incoming
    this.since = caller.stamp
    incoming.onAbort = () => this.#abort()
  }

  /** GET and HEAD have no body in the Fetch standard, whatever was sent. */
  get takesBody(): boolean {
    return this.incoming.body !== null && this.incoming.method !== 'GET' && this.incoming.method !== 'HEAD'
  }

  get isStreaming(): boolean {
    return this.#controller !== undefined
  }

  /** Called once, by the connection; its callbacks are called while the response is at hand. */
  // biome-ignore lint/suspicious/noThenProperty: it is a thenable, so that an answer needs no promise
  then<T, F>(
    resolve?: ((response: Response) => T | PromiseLike<T>) | null,
    reject?: ((reason: unknown) => F | PromiseLike<F>) | null,
  ): PromiseLike<T | F> {
    this.resolve = resolve as (response: Response) => void
    this.reject = reject as (error: Error) => void
    return undefined as never
  }

  openStream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: () => this.#grant(),
        cancel: () => this.#caller.cancel(this),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: WINDOW_BYTES }),
    )
  }

  enqueue(chunk: Uint8Array): void {
    this.#granted -= chunk.length
    attempt(() => this.#controller!.enqueue(chunk))
  }

  endStream(error: Error | undefined): void {
    attempt(() => (error === undefined ? this.#controller!.close() : this.#controller!.error(error)))
  }

  /** Lets the other side send as much as the reader has made room for, in a few large steps. */
  #grant(): void {
    const room = this.#controller!.desiredSize! - this.#granted
    if (room < WINDOW_BYTES / 2) return
    this.#granted += room
    this.#caller.tell(this, CREDIT, room)
  }

  #abort(): void {
    this.aborted = true
    if (this.answerer !== NOBODY) this.#caller.tell(this, ABORT)
  }
}

/** Does what a stream refuses once it was cancelled. */
function attempt(work: () => void): void {
  try {
    work()
  } catch {
    // its reader is gone
  }
}
