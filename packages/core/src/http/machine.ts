/**
 * The HTTP/1.1 server as a machine without I/O (RFC 9112): bytes in, requests out; responses in, bytes out.
 *
 *   receive(bytes) ─▶ next() ─▶ Request ─▶ (the app) ─▶ respond(Response) ─▶ output ─▶ whoever sends it
 *
 * No system call and no timer in here, so a blocking thread, an event loop, a completion and a pipeline stage all drive the
 * same machine. Contract:
 *   - `receive` lends the bytes until `settle`, which keeps a copy of what was not consumed.
 *   - `next` gives one request at a time: the following one comes only after the response to this one (RFC 9112 §9.3.2).
 *   - `respond`, `write` and `finish` append to the thread's `output`; take it before another machine of the thread writes.
 *   - A malformed message is answered by the machine itself, sets `closing`, and nothing behind it is ever read as a request.
 *   - `closing` means: send what there is, then close; `lingering` that the client may still be sending (RFC 9112 §9.6).
 * One machine a connection, used by one thread at a time.
 */

import { RequestBody } from './body.js'
import { ChunkedDecoder } from './chunked.js'
import type { DateField } from './date.js'
import {
  abortRequest,
  bodySizeOf,
  flatHeadersOf,
  LightResponse,
  requestFrom,
  statusOf,
  statusTextOf,
  takeBody,
} from './fetch/index.js'
import { CR, LF } from './grammar.js'
import { emptyHead, type Head, parseHead } from './head.js'
import { Incoming, refusalOf } from './incoming.js'
import { DISCARD_LIMIT, type HttpLimits } from './limits.js'
import type { Output } from './output.js'
import { type ResponseFields, renderFields, renderHead, TEXT_FIELDS } from './response-head.js'
import { reasonOf } from './status.js'

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'
const NOTHING = Buffer.alloc(0)

/** Characters of text up to which a body goes out in one piece with its head. */
const SHORT = 16 * 1024

/** What the machines of one thread have in common. */
export interface HttpContext {
  readonly limits: HttpLimits
  readonly output: Output
  readonly date: DateField
  /** Bytes of a request that must be there, or its end, before {@link HttpMachine.next} gives it; 0: its head is enough. */
  readonly gather: number
  /** The machine that is being driven: the output is its own until the driver has taken it. */
  active?: HttpMachine | undefined
  /** Called when the machine itself has answered a request with an error. */
  refused(): void
}

/** How the length of the response in progress is told (RFC 9112 §6.3); 'none' while none is being streamed. */
type Framing = 'length' | 'chunked' | 'close' | 'none'

/** The head that is being parsed, one a thread; a machine whose head is incomplete keeps it, and the next gets another. */
let spareHead: Head = emptyHead()

export class HttpMachine {
  /** True once nothing more will be read or answered. */
  closing = false
  /** True where the client may still be sending when the connection closes. */
  lingering = false
  /** True once the client has said that it will send no more. */
  inputEnded = false
  /** Called when the machine wants bytes again, or has put some into the output, outside of the driver's own calls. */
  onChange: (() => void) | undefined
  readonly #context: HttpContext
  #draining = false
  // bytes [#at, #end) of the window wait to be parsed; it is the driver's until settle, or the machine's own
  #window: Buffer = NOTHING
  #owned = false
  #at = 0
  #end = 0
  // a head that is not whole, or whose body is still being gathered: it starts at #at
  #head: Head | undefined
  #gathering: Gathering | undefined
  // the request that waits for its response
  #incoming: Incoming | undefined
  #request: Request | undefined
  // the body that is arriving, which may outlast the response
  #body: RequestBody | undefined
  #decoder: ChunkedDecoder | undefined
  #remaining = 0
  #bodySize = 0
  // the response, and how much of it is left where it is streamed
  #keep = true
  #framing: Framing = 'none'
  #left = 0

  constructor(context: HttpContext) {
    this.#context = context
  }

  /** True while no request is outstanding and not a byte of the next one has come. */
  get idle(): boolean {
    return this.#incoming === undefined && this.#body === undefined && this.#at === this.#end
  }

  /** True while a request waits for its response, or for the end of it. */
  get busy(): boolean {
    return this.#incoming !== undefined
  }

  /** True while a request body is arriving. */
  get receivingBody(): boolean {
    return this.#body !== undefined
  }

  /** True while more bytes could be used: for the next head, or for a body that somebody reads. */
  get wantsInput(): boolean {
    if (this.closing || this.inputEnded) return false
    return this.#body === undefined ? this.#incoming === undefined : this.#body.wanted
  }

  /** True while a body is gathered before the app is called. */
  get gathering(): boolean {
    return this.#gathering !== undefined
  }

  /** True while the app waits for bytes of its request's body. */
  get demanded(): boolean {
    return this.#body?.demanded === true
  }

  /** True while the app holds the signal that tells it of a client that leaves. */
  get watched(): boolean {
    return this.#incoming?.watched === true
  }

  /** Bytes that wait here to be parsed. */
  get unparsed(): number {
    return this.#end - this.#at
  }

  /** True after {@link drain}. */
  get draining(): boolean {
    return this.#draining
  }

  /** Lends the machine `bytes[0, length)`, which it reads until {@link settle}. */
  receive(bytes: Buffer, length: number): void {
    if (this.closing) return
    if (this.#at < this.#end) return this.#append(bytes, length)
    this.#window = bytes
    this.#owned = false
    this.#at = 0
    this.#end = length
  }

  /** Ends the loan: what was not consumed is copied. */
  settle(): void {
    if (this.#at === this.#end) this.#forget()
    else if (!this.#owned) this.#own(0)
  }

  /** Says that the client will send no more (it closed, or shut down its sending side). */
  endOfInput(): void {
    this.inputEnded = true
    if (this.#body !== undefined) this.#pump()
    else if (this.#request !== undefined)
      abortRequest(this.#request, new DOMException('The client closed the connection.', 'AbortError'))
    else if (this.#at === this.#end) this.closing = true
  }

  /** Says that the connection is broken: whoever reads the body or listens to the signal learns of it. */
  vanish(): void {
    this.#abandon('the connection to the client is broken')
  }

  /** Lets the outstanding request finish, answers with `Connection: close`; an idle connection is done. */
  drain(): void {
    this.#draining = true
    if (this.idle) this.closing = true
  }

  /** Hands over what waits to be parsed, for another machine to receive; undefined where nothing does. */
  takeUnparsed(): Buffer | undefined {
    if (this.#at === this.#end) return undefined
    if (!this.#owned) this.#own(0)
    const unparsed = this.#window.subarray(this.#at, this.#end)
    this.#forget()
    return unparsed
  }

  /** Moves what has come of a body to its reader, as {@link next} does, too. */
  pump(): void {
    if (this.#body !== undefined) this.#pump()
  }

  /** Gives the next request whose head is whole, or undefined: see the contract above. */
  next(): Request | undefined {
    if (this.#body !== undefined) this.#pump()
    if (this.closing || this.#incoming !== undefined || this.#body !== undefined) return undefined
    if (this.#gathering !== undefined) return this.#gather(this.#gathering)
    if (!this.#findMessage()) return this.#starve()
    const head = this.#head ?? spareHead
    const end = parseHead(this.#window, this.#at, this.#end, this.#context.limits, head)
    if (end > 0) return this.#judge(head, end)
    if (end < 0) return this.#refuse(-end, head.method)
    if (head === spareHead) {
      this.#head = head
      spareHead = emptyHead()
    }
    return this.#starve()
  }

  /**
   * Writes a response, whole where its body is at hand.
   * @returns the body where it is a stream: give its chunks to {@link write}, then call {@link finish}.
   * @throws TypeError where the body of the response has been read already.
   */
  respond(response: Response): ReadableStream<Uint8Array> | undefined {
    const status = statusOf(response)
    if (status === 0) throw new TypeError('Response.error() cannot be sent: it stands for a failed fetch')
    const incoming = this.#incoming
    const body = takeBody(response)
    if (incoming === undefined) return cancelled(body) // refused meanwhile: the client has its answer
    const { output, date } = this.#context
    const fields = renderFields(flatHeadersOf(response), response.url !== '')
    this.#keep = this.#mayKeep(incoming, fields)
    const head = renderHead(status, statusTextOf(response), fields, date.line)
    const bodyless = incoming.method === 'HEAD' || status === 204 || status === 304

    if (typeof body === 'string') {
      const byteLength = Buffer.byteLength(body)
      const start = `${head}${this.#connection(incoming)}content-length: ${byteLength}\r\n\r\n`
      if (bodyless) output.latin1(start)
      else if (byteLength === body.length && byteLength <= SHORT)
        output.latin1(start + body) // ASCII: one write for all
      else {
        output.latin1(start)
        output.utf8(body, byteLength)
      }
    } else if (body === null || body instanceof Uint8Array) {
      const framing = lengthField(status, bodyless, fields, body)
      output.latin1(`${head}${this.#connection(incoming)}${framing}\r\n`)
      if (body !== null && !bodyless) output.data(body)
    } else {
      const length = status === 204 ? -1 : (bodySizeOf(response) ?? fields.contentLength)
      return this.#startStream(body, length, status === 204, bodyless, head, incoming)
    }
    this.#done(incoming)
    return undefined
  }

  /** Answers with a status of the server's own and an explanation in plain text; the connection goes on if it may. */
  respondStatus(status: number): void {
    this.respond(statusResponse(status))
  }

  /** Appends a chunk of the streamed body; false once the promised length is exceeded. */
  write(chunk: Uint8Array): boolean {
    const { output } = this.#context
    if (chunk.length === 0 || this.#incoming === undefined) return true
    if (this.#framing === 'chunked') {
      output.latin1(`${chunk.length.toString(16)}\r\n`)
      output.data(chunk)
      output.latin1('\r\n')
      return true
    }
    if (this.#framing === 'close') {
      output.data(chunk)
      return true
    }
    const fits = Math.min(chunk.length, this.#left)
    this.#left -= fits
    output.data(fits === chunk.length ? chunk : chunk.subarray(0, fits))
    return fits === chunk.length
  }

  /** Ends the streamed body; a body that did not come whole closes the connection, so that the client can tell. */
  finish(whole = true): void {
    if (this.#incoming === undefined) return
    if (!whole || (this.#framing === 'length' && this.#left > 0)) this.#keep = false
    else if (this.#framing === 'chunked') this.#context.output.latin1('0\r\n\r\n')
    this.#done(this.#incoming)
  }

  /** Answers a message that cannot be understood or is not wanted, unless its response has begun, and ends the connection. */
  refuse(status: number): void {
    this.#refuse(status, (this.#incoming ?? this.#head)?.method ?? '')
  }

  // --- bytes in ---

  #append(bytes: Buffer, length: number): void {
    if (!this.#owned || length > this.#window.length - this.#end) this.#own(length)
    bytes.copy(this.#window, this.#end, 0, length)
    this.#end += length
  }

  /** Moves what waits to memory of the machine's own with room for more, twice as much as before so that copying stays linear. */
  #own(room: number): void {
    const unparsed = this.#end - this.#at
    const own = Buffer.allocUnsafeSlow(Math.max(unparsed + room, this.#owned ? 2 * unparsed : 0))
    this.#window.copy(own, 0, this.#at, this.#end)
    this.#window = own
    this.#owned = true
    this.#at = 0
    this.#end = unparsed
  }

  #forget(): void {
    this.#window = NOTHING
    this.#owned = false
    this.#at = this.#end = 0
    this.#head = undefined
    this.#gathering = undefined
  }

  /** Skips empty lines before a request, as RFC 9112 §2.2 asks; false where nothing else is there yet. */
  #findMessage(): boolean {
    const window = this.#window
    while (this.#at < this.#end && window[this.#at] === CR) {
      if (this.#end - this.#at === 1) return false
      if (window[this.#at + 1] !== LF) return true // the parser refuses it
      this.#at += 2
    }
    return this.#at < this.#end
  }

  /** Nothing more can be read from what has come: more will come, or it was the last. */
  #starve(): undefined {
    if (this.inputEnded) this.closing = true
    return undefined
  }

  // --- a request ---

  #judge(head: Head, end: number): Request | undefined {
    const { limits, gather } = this.#context
    const refusal = head.contentLength > limits.body ? 413 : refusalOf(head)
    if (refusal !== 0) return this.#refuse(refusal, head.method)
    const bodyless = !head.chunked && head.contentLength <= 0
    if (gather === 0 || bodyless || head.expectContinue) return this.#accept(head, end)
    this.#gathering = new Gathering(head, end - this.#at, limits)
    if (head === spareHead) spareHead = emptyHead()
    return this.#gather(this.#gathering)
  }

  #gather(gathering: Gathering): Request | undefined {
    const enough = this.#end - this.#at >= this.#context.gather || this.inputEnded
    if (!enough && !gathering.isWhole(this.#window, this.#at, this.#end)) return undefined
    return this.#accept(gathering.head, this.#at + gathering.bodyStart)
  }

  #accept(head: Head, end: number): Request | undefined {
    this.#at = end
    this.#head = undefined
    this.#gathering = undefined
    const incoming = new Incoming(head)
    this.#incoming = incoming
    if (head.chunked || head.contentLength > 0) this.#startBody(incoming, head)
    if (this.closing) return undefined // what came of the body was refused
    const request = requestFrom(incoming)
    this.#request = request
    return request
  }

  // --- its body ---

  #startBody(incoming: Incoming, head: Head): void {
    this.#body = incoming.body = new RequestBody(() => this.#demand())
    this.#decoder = head.chunked ? new ChunkedDecoder(this.#context.limits) : undefined
    this.#remaining = head.contentLength
    this.#bodySize = 0
    this.#pump()
  }

  /** The app waits for bytes, or has made room for some: what is here moves on at once, and the driver may get more. */
  #demand(): void {
    const { active } = this.#context
    if (active !== undefined && active !== this) return queueMicrotask(() => this.#demand()) // one app reads for another
    if (this.demanded) this.#continue()
    this.#pump()
    this.onChange?.()
  }

  /** Tells a client that waits for it to send the body (RFC 9110 §10.1.1): once, and never behind the start of the response. */
  #continue(): void {
    const incoming = this.#incoming
    if (incoming === undefined || !this.#isExpected(incoming) || this.#framing !== 'none') return
    incoming.continued = true
    this.#context.output.latin1(CONTINUE)
  }

  /** True while the client may be waiting to be told to send the body. */
  #isExpected(incoming: Incoming): boolean {
    return incoming.expectContinue && !incoming.continued && this.#bodySize === 0 && this.#at === this.#end
  }

  /** Moves what has arrived of the body to its reader. */
  #pump(): void {
    while (this.#body !== undefined && this.#at < this.#end && this.#body.wanted) {
      if (this.#decoder === undefined) this.#pumpLength(this.#body)
      else this.#pumpChunked(this.#body, this.#decoder)
    }
    if (this.inputEnded && this.#body !== undefined && this.#at === this.#end)
      this.#abandon('the client closed the connection before the end of the request body')
  }

  #pumpLength(body: RequestBody): void {
    const length = Math.min(this.#remaining, this.#end - this.#at)
    body.push(this.#window.subarray(this.#at, this.#at + length))
    this.#at += length
    this.#bodySize += length
    this.#remaining -= length
    if (this.#remaining === 0) this.#endBody(body)
  }

  #pumpChunked(body: RequestBody, decoder: ChunkedDecoder): void {
    const end = decoder.step(this.#window, this.#at, this.#end)
    if (end < 0) return this.refuse(-end)
    this.#at = end
    this.#bodySize += decoder.to - decoder.from
    const unread = this.#incoming === undefined && !body.gathering
    if (this.#bodySize > (unread ? DISCARD_LIMIT : this.#context.limits.body)) return this.refuse(413)
    if (decoder.to > decoder.from) body.push(this.#window.subarray(decoder.from, decoder.to))
    if (decoder.done) this.#endBody(body)
  }

  #endBody(body: RequestBody): void {
    this.#body = undefined
    this.#decoder = undefined
    body.end()
  }

  // --- its response ---

  #startStream(
    body: ReadableStream<Uint8Array>,
    length: number,
    unframed: boolean,
    bodyless: boolean,
    head: string,
    incoming: Incoming,
  ): ReadableStream<Uint8Array> | undefined {
    if (this.#body?.used) this.#continue() // the stream may be made of the request's body
    let framing = ''
    if (length >= 0) framing = `content-length: ${length}\r\n`
    else if (!unframed && incoming.minor === 1) framing = 'transfer-encoding: chunked\r\n'
    else if (!bodyless) this.#keep = false // HTTP/1.0 knows no other way to end the body
    this.#context.output.latin1(`${head}${this.#connection(incoming)}${framing}\r\n`)
    if (!bodyless) {
      this.#framing = length >= 0 ? 'length' : incoming.minor === 1 ? 'chunked' : 'close'
      this.#left = length
      return body
    }
    this.#done(incoming)
    return cancelled(body)
  }

  /** The Connection field, which is written where it says something that the version does not (RFC 9112 §9.3). */
  #connection(incoming: Incoming): string {
    if (!this.#keep) return 'connection: close\r\n'
    return incoming.minor === 1 ? '' : 'connection: keep-alive\r\n'
  }

  /** Decides whether the connection outlives this response (RFC 9112 §9.3). */
  #mayKeep(incoming: Incoming, fields: ResponseFields): boolean {
    if (!incoming.keepAlive || this.#draining || fields.close) return false
    if (this.#body === undefined) return !this.inputEnded || this.#at < this.#end
    if (this.#body.used) return true // it may have been read by the end of the response
    return !this.#isExpected(incoming) && this.#isDiscardable // who was not told to go on may send the body, or not
  }

  /**
   * True where what is left of the request's body is little enough to be read and thrown away, as far as one can know. Who
   * gathers requests so that no client holds a thread does not wait for bytes that nobody wants.
   */
  get #isDiscardable(): boolean {
    if (this.#context.gather > 0) return false
    return this.#decoder !== undefined || this.#remaining <= DISCARD_LIMIT
  }

  /** Behind the last byte of a response: the next request, or the end of the connection. */
  #done(incoming: Incoming): void {
    const body = this.#body
    this.#framing = 'none'
    if (body !== undefined && !body.gathering && (this.#isExpected(incoming) || !this.#isDiscardable))
      this.#keep = false
    this.#incoming = undefined
    this.#request = undefined
    if (!this.#keep) {
      this.closing = true
      this.lingering = incoming.keepAlive || !this.idle
      this.#body = undefined
      body?.fail(new Error('the connection ended before the request body did'))
    } else if (body !== undefined && !body.gathering) {
      this.#bodySize = 0
      body.discard(new Error('the response was complete before the request body was read'))
    }
  }

  // --- the end ---

  #refuse(status: number, method: string): undefined {
    const begun = this.#framing !== 'none'
    const answered = this.#incoming === undefined && this.#body !== undefined
    this.#abandon(`the request is refused with ${status}`)
    this.lingering = true
    if (begun || answered) return undefined
    const text = `${status} ${reasonOf(status)}\n`
    const head = renderHead(status, '', TEXT_FIELDS, this.#context.date.line)
    this.#context.output.latin1(
      `${head}connection: close\r\ncontent-length: ${text.length}\r\n\r\n${method === 'HEAD' ? '' : text}`,
    )
    this.#context.refused()
    return undefined
  }

  #abandon(message: string): void {
    const request = this.#request
    const body = this.#body
    this.closing = true
    this.#incoming = undefined
    this.#request = undefined
    this.#body = undefined
    this.#forget()
    if (body !== undefined) body.fail(new Error(message))
    if (request !== undefined) abortRequest(request, new DOMException(message, 'AbortError'))
  }
}

/** A status of the server's own with an explanation in plain text. */
export function statusResponse(status: number): Response {
  return new LightResponse(`${status} ${reasonOf(status)}\n`, { status }) as Response
}

/** A whole head whose body has not come as far as the app wants it. */
class Gathering {
  readonly head: Head
  readonly bodyStart: number
  readonly #decoder: ChunkedDecoder | undefined
  #decoded: number

  constructor(head: Head, bodyStart: number, limits: HttpLimits) {
    this.head = head
    this.bodyStart = bodyStart
    this.#decoder = head.chunked ? new ChunkedDecoder(limits) : undefined
    this.#decoded = bodyStart
  }

  /** True where `bytes[start, end)` hold the whole request, or something that can be refused now. */
  isWhole(bytes: Buffer, start: number, end: number): boolean {
    const decoder = this.#decoder
    if (decoder === undefined) return end - start - this.bodyStart >= this.head.contentLength
    let at = start + this.#decoded
    while (at < end && !decoder.done) {
      at = decoder.step(bytes, at, end)
      if (at < 0) return true
    }
    this.#decoded = at - start
    return decoder.done
  }
}

/** Gives up a response body that nobody will send. */
function cancelled(body: unknown): undefined {
  if (body instanceof ReadableStream) body.cancel().catch(() => {})
  return undefined
}

/** Content-Length of a body at hand; where there is none to send, a HEAD or 304 response may tell that of a GET (RFC 9110 §8.6). */
function lengthField(status: number, bodyless: boolean, fields: ResponseFields, body: Uint8Array | null): string {
  if (status === 204) return ''
  if (body !== null) return `content-length: ${body.length}\r\n`
  if (!bodyless) return 'content-length: 0\r\n'
  return fields.contentLength >= 0 ? `content-length: ${fields.contentLength}\r\n` : ''
}
