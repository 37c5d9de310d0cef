/**
 * One connection: an HTTP machine married to a socket, and the app called in between.
 *
 *   recv(2) ─▶ machine ─▶ app.fetch(request) ─▶ machine ─▶ send(2)
 *
 * `advance()` does all that can be done now and tells what the connection waits for next:
 *
 *   READABLE, WRITABLE   readiness of the socket; call advance() again when it is there
 *   APP                  the handler, or the reader of its stream; `onProgress` is called when that changes
 *   CLOSED               nothing: the descriptor is closed, the connection must be forgotten
 *
 * On a blocking socket recv and send wait themselves, so advance() returns READABLE only between two messages.
 *
 * Where operations are started and complete later, nothing advances: `received()` is given what was read and `sent()` is told
 * that what was written is gone. They return the same as advance(); the transport of the service starts the writes.
 *
 * Whoever has a control flow of its own, a coroutine say, takes the steps itself: `take`, `next`, `call`, `respond`, `rest`; see
 * coroutine/conversation.ts.
 * Owner thread only.
 */

import { inspect } from 'node:util'
import { HttpMachine, isResponse, skip, statusResponse } from '../http/index.js'
import {
  close,
  EAGAIN,
  EINTR,
  MSG_DONTWAIT,
  MSG_PEEK,
  POLLIN,
  POLLOUT,
  pollOne,
  recv,
  setReceiveTimeout,
  setSendTimeout,
} from '../posix/index.js'
import type { Left } from '../socket/index.js'
import { ACCEPTED, BYTES_IN, BYTES_OUT, CLOSED_COUNT, ERRORS, LOST, REQUESTS } from './counters.js'
import type { Service } from './service.js'
import { LINGER_MS, QUIET_MS } from './timeouts.js'

export const APP = 0
export const READABLE = 1
export const WRITABLE = 2
export const CLOSED = -1

/** What a connection is registered for when the demultiplexer must be told again, whatever it was told before. */
const UNREGISTERED = -2

/** What a connection waits for: {@link APP}, {@link READABLE}, {@link WRITABLE} or {@link CLOSED}. */
export type Waiting = number

/** Bytes of output after which answering pipelined requests pauses until they are sent. */
const OUTPUT_HIGH_WATER = 32 * 1024

/** Bytes that a client may send ahead, while its request is at work, before reading pauses. */
const AHEAD_HIGH_WATER = 64 * 1024

/** Milliseconds between two looks at whether a client has left while a handler works. */
const LOOK_MS = 200

/** Milliseconds that a client gets of a thread that blocks on it while others wait for the thread. */
const HURRY_MS = 2000

const NOTHING: Uint8Array[] = []

/** Stands for bytes that the transport has taken and not yet written. */
const BEING_WRITTEN: Uint8Array[] = []

/** What a request is rejected with whose handler ran on another thread that is gone: its connection ends without an answer. */
export class HandlerLost extends Error {
  override readonly name: string = 'HandlerLost'
}

/** What is left of a connection between two threads. */
export interface Remains extends Pick<Left, 'since' | 'limit' | 'flags'> {
  readonly unparsed: Buffer | undefined
  readonly unsent: Buffer | undefined
}

/** The flags of {@link Remains}. */
export const FRESH = 1
export const LINGERING = 2
const CLOSING = 4
const MAY_LINGER = 8
const GATHERING = 16

export class Connection {
  readonly fd: number
  readonly machine: HttpMachine
  /** Called when a handler has answered, or wants more of the body: the connection may wait for something else now. */
  onProgress: ((connection: Connection) => void) | undefined
  /** What the demultiplexer was last told to wait for; belongs to whoever runs it. */
  registered: Waiting = READABLE
  readonly #service: Service
  /** What the socket did not take yet, oldest first. */
  #unsent: Uint8Array[] = NOTHING
  #state: 'open' | 'lingering' | 'closed' = 'open'
  #fresh = true
  /** True once the socket has said that it has nothing to give, until it gives something. */
  #empty = false
  /** True where the connection was taken up in the middle of a body that is being gathered, and has read nothing yet. */
  #gathered = false
  #since: number
  #drained: (() => void) | undefined
  /** Reads the body that is being streamed. */
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined

  /** Enters an accepted socket into the table and counts it. */
  static accept(service: Service, fd: number): Connection {
    service.counters[ACCEPTED]++
    service.table.enter(fd, service.owner)
    if (service.blocking) limitWaits(service, fd)
    return new Connection(service, fd)
  }

  /** Enters a socket into the table and counts it, for whoever will {@link claim} it; false where the table has no row for it. */
  static pass(service: Service, fd: number): boolean {
    const { table, owner, counters, now, timeouts } = service
    if (!table.enter(fd, owner)) {
      close(fd)
      return false
    }
    counters[ACCEPTED]++
    table.stamp(fd, service.time)
    table.pass(fd, { since: now, limit: timeouts.head, flags: FRESH, address: 0, size: 0, unparsed: 0, unsent: 0 })
    return true
  }

  /**
   * Takes a connection that another thread passed on; undefined where it is another's or has been ended. One that blocks was
   * accepted from a socket with {@link limitWaits}.
   */
  static claim(service: Service, fd: number): Connection | undefined {
    return service.table.claim(fd, service.owner) ? new Connection(service, fd) : undefined
  }

  /** Takes up a connection where another thread left it; see {@link release}. */
  static resume(service: Service, fd: number, remains: Remains): Connection {
    const connection = new Connection(service, fd)
    const { machine } = connection
    connection.#since = remains.since
    connection.#fresh = (remains.flags & FRESH) !== 0
    connection.#gathered = (remains.flags & GATHERING) !== 0
    if (remains.flags & LINGERING) connection.#state = 'lingering'
    machine.closing = (remains.flags & CLOSING) !== 0
    machine.lingering = (remains.flags & MAY_LINGER) !== 0
    if (remains.unsent !== undefined) connection.#unsent = [remains.unsent]
    if (remains.unparsed !== undefined) {
      machine.receive(remains.unparsed, remains.unparsed.length)
      machine.settle()
    }
    return connection
  }

  constructor(service: Service, fd: number) {
    this.fd = fd
    this.#service = service
    this.#since = service.now
    this.machine = new HttpMachine(service)
    this.machine.onChange = () => this.#onMachineChange()
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  /** True between requests with nothing left to send. */
  get idle(): boolean {
    return this.#state === 'open' && this.#unsent === NOTHING && this.machine.idle
  }

  /** True while a handler, or the reader of its response stream, is at work. */
  get busy(): boolean {
    return this.machine.busy
  }

  /** Does what can be done without waiting (on a blocking socket: with one wait); see the head of this file. */
  advance(): Waiting {
    this.#stirApp()
    this.#service.active = this.machine
    if (this.#unsent !== NOTHING) this.#resend()
    if (this.#state === 'open' && this.#unsent === NOTHING) this.#read()
    else if (this.#state === 'lingering') this.#discard()
    this.#service.active = undefined
    return this.waiting
  }

  /**
   * Like {@link advance}, until the socket has nothing more to give: what an edge-triggered demultiplexer asks for. After so
   * many `times` others get their turn; then the connection is to be registered anew, so that it is reported again.
   */
  exhaust(times: number): Waiting {
    let waiting = this.advance()
    for (let n = 1; n < times && waiting === READABLE && !this.#empty; n++) waiting = this.advance()
    if (waiting === READABLE && !this.#empty) this.registered = UNREGISTERED
    return waiting
  }

  /** Takes bytes[0, n) that were read, 0 at the end of the stream or -errno, and goes on as {@link advance} does. */
  received(bytes: Buffer, n: number): Waiting {
    this.#stirApp()
    this.#service.active = this.machine
    if (this.#state === 'open') {
      this.#take(bytes, n)
      if (this.#state === 'open' && this.#unsent === NOTHING) this.#answer()
      else this.machine.settle()
    } else if (this.#state === 'lingering' && n <= 0) this.close()
    this.#service.active = undefined
    return this.waiting
  }

  /** Learns that what the transport took has been written, or -errno, and goes on as {@link advance} does. */
  sent(n: number): Waiting {
    this.#stirApp()
    this.#service.active = this.machine
    if (n < 0) this.close()
    else if (this.#unsent === BEING_WRITTEN) this.#sentAll()
    else this.#resend()
    if (this.#state === 'open' && this.#unsent === NOTHING && this.machine.unparsed > 0) this.#answer()
    this.#service.active = undefined
    return this.waiting
  }

  /** True where the client has sent so far ahead that nothing more should be read until the connection is READABLE again. */
  get sated(): boolean {
    return this.machine.unparsed >= AHEAD_HIGH_WATER && this.waiting !== READABLE
  }

  // step by step ------------------------------------------------------------------------------------------------------

  /** Makes the thread's output this connection's, until {@link rest}. */
  begin(): void {
    this.#service.active = this.machine
  }

  /** Takes, once, what the client has sent, or has made room for; begins, too. */
  take(): void {
    this.#stirApp()
    this.begin()
    if (this.#unsent !== NOTHING) this.#resend()
    else if (this.#state === 'open') this.#input()
    else if (this.#state === 'lingering') this.#discard()
    this.machine.pump()
  }

  /** Gives the next request whose head is there. */
  next(): Request | undefined {
    return this.machine.next()
  }

  /** Has the app handle a request; gives, or throws, what the app does. */
  call(request: Request): unknown {
    const service = this.#service
    service.appRan = true
    service.counters[REQUESTS]++
    return service.app.fetch(request)
  }

  /** Counts and logs what a handler threw, and gives the response for its client. */
  failure(error: unknown): Response {
    this.#report('the handler failed', error)
    return statusResponse(500)
  }

  /** Writes the response to a request; where its body is a stream, that is given back, for {@link write} and {@link finish}. */
  respond(response: Response): ReadableStream<Uint8Array> | undefined {
    this.#answered()
    return this.#render(response)
  }

  /** Writes a chunk of a stream. @throws TypeError for one that is no Uint8Array, RangeError beyond the promised length */
  write(chunk: Uint8Array): void {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('a response stream must give Uint8Array chunks')
    this.#service.appRan = true
    if (!this.machine.write(chunk)) throw new RangeError('the response stream gave more than its content-length')
  }

  /** Ends a stream, whole or with the error that cut it short. */
  finish(whole: boolean, error?: unknown): void {
    if (error !== undefined) this.#report('a response stream failed', error)
    this.#answered()
    this.machine.finish(whole)
  }

  /** True where more requests are there, and what answers this one may leave together with what answers them. */
  get hasMore(): boolean {
    const { output } = this.#service
    if (this.#unsent !== NOTHING || this.machine.closing || this.machine.unparsed === 0) return false
    return output.length < OUTPUT_HIGH_WATER && output.chunks.length === 0
  }

  /** True while the client has not taken all that it was answered. */
  get delivering(): boolean {
    return this.#unsent !== NOTHING || this.#state === 'lingering'
  }

  /** Sends what was written and keeps what was not consumed: others may use the thread's buffers. Returns what to wait for. */
  rest(): Waiting {
    this.#flush()
    this.machine.settle()
    this.#finish()
    this.#service.active = undefined
    return this.waiting
  }

  // -------------------------------------------------------------------------------------------------------------------

  /** Tells what the connection waits for, without doing anything. */
  get waiting(): Waiting {
    if (this.#state === 'closed') return CLOSED
    if (this.#unsent !== NOTHING) return WRITABLE
    if (this.#state === 'lingering' || this.machine.wantsInput) return READABLE
    return this.#readsAhead ? READABLE : APP
  }

  /** Closes the connection as soon as it is idle, with `Connection: close` on the answer that is outstanding. */
  drain(): void {
    if (this.#state !== 'open') return
    if (this.idle && this.#service.now - this.#since < QUIET_MS) return // a request may be on its way: ask again
    this.machine.drain()
    if (this.machine.closing && this.#unsent === NOTHING) this.close()
  }

  /** Milliseconds since the client last did something, or was last answered. */
  get silence(): number {
    return (this.#service.now - this.#since) | 0
  }

  /** True until the client's first byte. */
  get fresh(): boolean {
    return this.#fresh
  }

  /** Tells whether the client has taken too long over what it is to do now; see Timeouts. */
  get expired(): boolean {
    return this.patience === 0
  }

  /** Milliseconds that the client has left for what it is to do now; Infinity where it may take for ever. */
  get patience(): number {
    const limit = this.#limit()
    if (limit === 0) return Number.POSITIVE_INFINITY
    const service = this.#service
    const hurried = service.blocking && service.crowded() ? Math.min(limit, HURRY_MS) : limit
    return Math.max(0, hurried - ((service.now - this.#since) | 0))
  }

  /** Ends a connection that has expired: with 408 (RFC 9110 §15.5.9) where a request had begun. */
  expire(): void {
    if (
      this.#state === 'open' &&
      this.#unsent === NOTHING &&
      (this.machine.unparsed > 0 || this.machine.receivingBody)
    ) {
      this.machine.refuse(408)
      this.#flush()
    }
    this.close()
  }

  /** Closes the socket at once; what was unsent is lost, and whoever waits for the client is told that it is gone. */
  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#stirApp()
    this.machine.vanish()
    this.#unsent = NOTHING
    this.#service.table.leave(this.fd)
    this.#service.counters[CLOSED_COUNT]++
    this.#service.transport.close(this.fd)
    this.#reader?.cancel(clientGone()).catch(() => {}) // a silent stream would learn of it only with its next chunk
    this.#wake()
  }

  /** Gives the connection up to another thread, which resumes it from what this returns. Not while a handler is at work. */
  release(): Remains {
    const { machine } = this
    const flags =
      (this.#fresh ? FRESH : 0) |
      (this.#gathering ? GATHERING : 0) |
      (this.#state === 'lingering' ? LINGERING : 0) |
      (machine.closing ? CLOSING : 0) |
      (machine.lingering ? MAY_LINGER : 0)
    const limit = this.#limit()
    const unsent = this.#unsent.length === 0 ? undefined : Buffer.concat(this.#unsent)
    this.#state = 'closed'
    return { since: this.#since, limit, flags, unparsed: machine.takeUnparsed(), unsent }
  }

  /**
   * Serves what there is to serve, the app's answers included, for a thread that has nothing else to do: it waits for the
   * handler in the thread's event loop and, while a handler is at work, for the client in poll(2), or in recv(2) and
   * send(2) themselves on a blocking socket. Returns what to wait for when the connection needs the thread no more: not before
   * the last byte of a body that nobody read, since the next thread would take the rest of it for a request.
   */
  async exchange(): Promise<Waiting> {
    const service = this.#service
    let waiting = this.advance()
    while (waiting !== CLOSED && (this.busy || this.machine.receivingBody || (service.blocking && !this.idle))) {
      if (waiting === WRITABLE || this.machine.demanded || !this.busy) {
        if (!service.blocking) pollOne(this.fd, waiting === WRITABLE ? POLLOUT : POLLIN, service.tickMs)
        this.advance()
      } else await this.#progress()
      service.tick()
      if (this.expired) this.expire()
      waiting = this.waiting
    }
    return waiting
  }

  /** Reading on while the handler works notices a client that leaves; one that sends too far ahead is made to wait. */
  get #readsAhead(): boolean {
    const { machine } = this
    if (!this.#service.readsAhead || machine.inputEnded || machine.receivingBody) return false
    return machine.unparsed < AHEAD_HIGH_WATER
  }

  #read(): void {
    this.#input()
    if (this.#state === 'open') this.#answer()
  }

  #input(): void {
    if (this.machine.wantsInput || this.#readsAhead) this.#receive()
    else this.#probe()
  }

  #receive(): void {
    const service = this.#service
    const n = recv(this.fd, service.buffer, 0, service.buffer.length)
    this.#empty = n === 0 || n === -EAGAIN
    this.#take(service.buffer, n)
  }

  #take(bytes: Buffer, n: number): void {
    if (n > 0) {
      this.#service.counters[BYTES_IN] += n
      this.#stampRead()
      this.machine.receive(bytes, n)
    } else if (n === 0) this.machine.endOfInput()
    else if (n !== -EAGAIN && n !== -EINTR) this.close()
  }

  /** Called though nothing was to be read: then the connection is broken, or nothing has happened. */
  #probe(): void {
    const n = recv(this.fd, this.#service.buffer, 0, 1, MSG_PEEK | MSG_DONTWAIT)
    if (n < 0 && n !== -EAGAIN && n !== -EINTR) this.close()
  }

  /** Answers every request that is there, in order, as long as the socket takes the answers. */
  #answer(): void {
    const { machine } = this
    const { output } = this.#service
    let request: Request | undefined
    do {
      while ((request = machine.next()) !== undefined) {
        this.#dispatch(request)
        if (output.length >= OUTPUT_HIGH_WATER || output.chunks.length > 0) break
      }
      this.#flush()
    } while (request !== undefined && this.#unsent === NOTHING && this.#state === 'open')
    machine.settle()
    this.#finish()
  }

  #dispatch(request: Request): void {
    const service = this.#service
    service.appRan = true
    service.counters[REQUESTS]++
    let answer: Response | PromiseLike<Response>
    try {
      answer = service.app.fetch(request)
    } catch (error) {
      return this.#fail(error)
    }
    if (typeof (answer as PromiseLike<Response>)?.then === 'function')
      return this.#await(answer as PromiseLike<Response>)
    service.tick() // the time that the app held the thread is not the client's
    this.#respond(answer as Response)
  }

  #await(promise: PromiseLike<Response>): void {
    promise.then(
      (response) => this.#complete(() => this.#respond(response)),
      (error) => this.#complete(() => this.#fail(error)),
    )
    this.#service.pending++ // last: a `then` of the app's own may throw
  }

  /** Runs what an asynchronous event brought about, sends what it wrote, and goes on with what it held up. */
  #complete(work: () => void): void {
    this.#service.pending--
    if (this.#state !== 'open') return
    this.#answered()
    this.begin()
    work()
    this.#answer()
    this.#service.active = undefined
    this.onProgress?.(this)
  }

  /** The time that the app took is not the client's. */
  #answered(): void {
    this.#service.tick()
    this.#since = this.#service.now
  }

  #respond(response: Response): void {
    const stream = this.#render(response)
    if (stream !== undefined) this.#stream(stream)
  }

  #render(response: Response): ReadableStream<Uint8Array> | undefined {
    if (isLast(this.#service)) this.machine.drain()
    try {
      return this.machine.respond(response)
    } catch (error) {
      this.#fail(isResponse(response) ? error : new TypeError(`it gave ${inspect(response)}, not a Response`))
      return undefined
    }
  }

  /** A handler that throws, or answers with no response, costs its client a 500 and nobody else anything. */
  #fail(error: unknown): void {
    if (error instanceof HandlerLost) {
      this.#service.counters[LOST]++
      return this.close()
    }
    this.machine.respond(this.failure(error))
  }

  #report(message: string, error: unknown): void {
    this.#service.counters[ERRORS]++
    this.#service.log(message, error)
  }

  /** Copies a streamed body to the client, no faster than the client reads. */
  async #stream(stream: ReadableStream<Uint8Array>): Promise<void> {
    const service = this.#service
    service.pending++
    const reader = stream.getReader()
    this.#reader = reader
    let whole = false
    try {
      for (;;) {
        if (this.#unsent !== NOTHING) await new Promise<void>((resolve) => (this.#drained = resolve))
        const { done, value } = await reader.read()
        if (done || this.#state !== 'open') {
          whole = done
          break
        }
        this.write(value)
        this.#flushNews()
      }
      if (!whole) await reader.cancel(clientGone())
    } catch (error) {
      this.#report('a response stream failed', error)
      reader.cancel(error).catch(() => {})
    }
    this.#reader = undefined
    this.#complete(() => this.machine.finish(whole))
  }

  /** Sends what was written outside of advance(), and tells the owner if the socket did not take it. */
  #flushNews(): void {
    if (this.#state !== 'open') return this.#service.output.clear()
    this.#flush()
    this.onProgress?.(this)
  }

  /** The app waits for bytes of its request's body, or made room for some: the client's time runs from now. */
  #onMachineChange(): void {
    this.#service.tick()
    this.#since = this.#service.now
    if (this.#service.active === undefined) this.#flushNews()
  }

  /** Sends the thread's output; what the socket does not take is kept in order. */
  #flush(): void {
    const { output, transport } = this.#service
    if (output.empty) return
    if (this.#state === 'closed') return output.clear()
    if (this.#unsent !== NOTHING) {
      if (this.#unsent === BEING_WRITTEN) this.#unsent = output.takeRest(0)
      else this.#unsent.push(...output.takeRest(0))
      return
    }
    if (output.chunks.length > 0) {
      this.#unsent = output.takeRest(0)
      this.#since = this.#service.now
      return this.#resend()
    }
    const n = transport.send(this.fd, output.bytes, output.length)
    if (n === output.length) {
      this.#service.counters[BYTES_OUT] += n
      output.clear()
      if (transport.completes) this.#unsent = BEING_WRITTEN
      return
    }
    if (n < 0 && n !== -EAGAIN && n !== -EINTR) {
      output.clear()
      return this.close()
    }
    this.#unsent = output.takeRest(Math.max(n, 0))
    this.#service.counters[BYTES_OUT] += Math.max(n, 0)
    this.#since = this.#service.now
  }

  #resend(): void {
    const { transport } = this.#service
    while (this.#unsent.length > 0) {
      const n = transport.sendv(this.fd, this.#unsent)
      if (n === -EINTR) continue
      if (n === -EAGAIN) return
      if (n < 0) return this.close()
      this.#service.counters[BYTES_OUT] += n
      this.#since = this.#service.now
      this.#unsent = skip(this.#unsent, n)
    }
    if (transport.completes) this.#unsent = BEING_WRITTEN
    else this.#sentAll()
  }

  #sentAll(): void {
    this.#unsent = NOTHING
    this.#since = this.#service.now
    this.#wake()
    if (!this.machine.busy) this.#finish()
  }

  /** Notes the state the connection is in now, and closes it where the machine is done. */
  #finish(): void {
    if (this.#state !== 'open' || this.#unsent !== NOTHING) return
    const { machine } = this
    if (!machine.closing) {
      if (machine.idle && !this.#fresh) this.#since = this.#service.now
      return
    }
    if (machine.lingering && !machine.inputEnded) this.#linger()
    else this.close()
  }

  /**
   * Closes without losing the answer: where unread bytes are in the socket, close(2) would send a reset that may overtake
   * it, so the sending side is shut down and what comes is thrown away for a while (RFC 9112 §9.6).
   */
  #linger(): void {
    const { buffer, blocking, transport } = this.#service
    const n = transport.unread(this.fd, buffer)
    this.#empty = n === -EAGAIN
    if (n === 0 || (n < 0 && (n !== -EAGAIN || this.machine.draining))) return this.close() // nothing unread, nothing lost
    transport.shutdown(this.fd)
    if (blocking) setReceiveTimeout(this.fd, LINGER_MS)
    this.#state = 'lingering'
    this.#since = this.#service.now
  }

  #discard(): void {
    const { buffer } = this.#service
    const n = recv(this.fd, buffer, 0, buffer.length)
    this.#empty = n === -EAGAIN
    if (n === 0 || (n < 0 && n !== -EAGAIN && n !== -EINTR)) this.close()
  }

  #limit(): number {
    const { timeouts } = this.#service
    if (this.#state === 'lingering') return LINGER_MS
    if (this.#unsent !== NOTHING) return timeouts.write
    if (this.machine.receivingBody) {
      const awaited = this.machine.demanded || !this.machine.busy // otherwise a handler is at work, whose time it is
      return awaited && this.machine.wantsInput ? timeouts.body : 0
    }
    if (this.#gathering) return timeouts.body
    if (this.machine.busy) return 0
    return this.#fresh || this.machine.unparsed > 0 ? timeouts.head : timeouts.idle
  }

  /** The client did something: what it may take starts anew, but for a head, which counts from its first byte. */
  #stampRead(): void {
    if (this.machine.unparsed > 0 && !this.machine.receivingBody && !this.#gathering) return
    this.#gathered = false
    this.#since = this.#service.now
    this.#fresh = false
  }

  /** What comes, or the end, may let a handler or the reader of its stream go on: the thread owes them a turn. */
  #stirApp(): void {
    if (this.machine.busy || this.machine.receivingBody) this.#service.appRan = true
  }

  /** Waits for the handler; meanwhile looks now and then whether the client left, if the app wants to know. */
  async #progress(): Promise<void> {
    const timer = setInterval(() => {
      this.#service.tick()
      if (this.machine.watched) this.#look()
    }, LOOK_MS)
    await new Promise<void>((resolve) => (this.onProgress = () => resolve()))
    clearInterval(timer)
  }

  #look(): void {
    const n = recv(this.fd, this.#service.buffer, 0, 1, MSG_PEEK | MSG_DONTWAIT)
    if (n === 0) this.machine.endOfInput()
    else if (n < 0 && n !== -EAGAIN && n !== -EINTR) {
      this.close()
      this.onProgress?.(this)
    }
  }

  get #gathering(): boolean {
    return this.#gathered || this.machine.gathering
  }

  #wake(): void {
    const drained = this.#drained
    this.#drained = undefined
    drained?.()
  }
}

/** Whether the answer that is being given should be its connection's last. */
function isLast(service: Service): boolean {
  return service.stopping() || service.crowded() || service.awaited()
}

/**
 * Has a blocking socket return now and then, so that its thread can look at the time. What a listening socket is told so its
 * connections inherit, but then accept(2) returns as well.
 */
export function limitWaits({ tickMs }: Service, fd: number): void {
  setReceiveTimeout(fd, tickMs)
  setSendTimeout(fd, tickMs)
}

/** What a stream is cancelled with when its client is gone. */
export function clientGone(): DOMException {
  return new DOMException('The client closed the connection.', 'AbortError')
}
