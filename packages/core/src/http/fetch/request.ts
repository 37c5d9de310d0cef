/**
 * Request (Fetch §5.4), an instance of the real class: light if it came from the HTTP machine, and a thin cover of a
 * real one if an app made it.
 */

import * as body from './body.js'
import { copyOf } from './headers.js'
import type { Incoming, RequestBodySource } from './incoming.js'
import { implementsInterface, inspectsAs, pickMembers, realRequest } from './real.js'
import { defineAttributes, SHOWN } from './request-attributes.js'

/** What the machine passes to the constructor as input; apps cannot get hold of it. */
const FROM_MACHINE = Symbol('incoming')

/** Doors to the private state, set by the class itself and used by the functions below it. */
let inside: {
  readonly owns: (value: object) => value is LightRequest
  readonly abort: (request: LightRequest, reason: unknown) => void
  readonly real: (request: LightRequest) => Request | null
  readonly incoming: (request: LightRequest) => Incoming | null
  readonly toReal: (request: LightRequest, withBody: boolean, dropped?: ReadonlySet<string>) => Request
}

export class LightRequest implements Request {
  /** Set for a request that an app made, and then the only field in use. */
  #real: Request | null = null
  #incoming: Incoming | null = null
  #source: RequestBodySource | null = null
  /** The body, once the app has asked for it as a stream. */
  #stream: ReadableStream<Uint8Array> | null = null
  #used = false
  #url: string | null = null
  #headers: Headers | null = null
  #controller: AbortController | null = null
  #aborted = false
  #reason: unknown = undefined
  /** The request this one was cloned from, whose signal it follows. */
  #origin: LightRequest | null = null

  declare readonly cache: Request['cache']
  declare readonly credentials: Request['credentials']
  declare readonly destination: Request['destination']
  declare readonly duplex: Request['duplex']
  declare readonly integrity: string
  declare readonly keepalive: boolean
  declare readonly mode: Request['mode']
  declare readonly redirect: Request['redirect']
  declare readonly referrer: string
  declare readonly referrerPolicy: Request['referrerPolicy']

  /** Makes a request; throws TypeError as the real class does (Fetch §5.4). */
  constructor(input: string | URL | Request, options?: RequestInit) {
    if ((input as unknown) === FROM_MACHINE) {
      const incoming = options as unknown as Incoming | null
      this.#incoming = incoming
      this.#source = incoming === null ? null : sourceOf(incoming)
    } else {
      this.#real = new (realRequest())(toRealRequest(input, options), options)
    }
  }

  get method(): string {
    return this.#real === null ? this.#incoming!.method : this.#real.method
  }

  get url(): string {
    if (this.#real !== null) return this.#real.url
    this.#url ??= this.#incoming!.url()
    return this.#url
  }

  get headers(): Headers {
    if (this.#real !== null) return this.#real.headers
    this.#headers ??= this.#incoming!.headers()
    return this.#headers
  }

  get signal(): AbortSignal {
    if (this.#real !== null) return this.#real.signal
    this.#controller ??= LightRequest.#startSignal(this)
    return this.#controller.signal
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#real !== null) return this.#real.body as ReadableStream<Uint8Array> | null
    if (this.#source === null) return null
    this.#stream ??= this.#used ? body.streamOf('', true) : this.#source.stream()
    return this.#stream
  }

  get bodyUsed(): boolean {
    if (this.#real !== null) return this.#real.bodyUsed
    return this.#used || (this.#stream !== null && body.isDisturbed(this.#stream))
  }

  /** Reads the body as bytes; rejects with TypeError if it was read before (Fetch §5.3). */
  async arrayBuffer(): Promise<ArrayBuffer> {
    if (this.#real !== null) return this.#real.arrayBuffer()
    return (await LightRequest.#read(this, body.bytesOf)).buffer
  }

  /** Reads the body as a blob of the type that the headers say; rejects with TypeError if it was read before (§5.3). */
  async blob(): Promise<Blob> {
    if (this.#real !== null) return this.#real.blob()
    return (await LightRequest.#read(this, LightRequest.#carry(this))).blob()
  }

  /** Reads the body as bytes; rejects with TypeError if it was read before (§5.3). */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#real !== null) return new Uint8Array(await this.#real.arrayBuffer())
    return LightRequest.#read(this, body.bytesOf)
  }

  /** Reads the body as a form; rejects with TypeError if it is none or was read before (§5.3). */
  async formData(): Promise<FormData> {
    if (this.#real !== null) return this.#real.formData()
    return (await LightRequest.#read(this, LightRequest.#carry(this))).formData()
  }

  /** Reads the body as JSON; rejects with SyntaxError if it is none, TypeError if it was read before (§5.3). */
  async json(): Promise<unknown> {
    if (this.#real !== null) return this.#real.json()
    return JSON.parse(await LightRequest.#read(this, body.textOf))
  }

  /** Reads the body as UTF-8; rejects with TypeError if it was read before (§5.3). */
  async text(): Promise<string> {
    if (this.#real !== null) return this.#real.text()
    return LightRequest.#read(this, body.textOf)
  }

  /** Copies the request, its body through a tee; throws TypeError if the body was used (§5.4). */
  clone(): Request {
    const copy = new LightRequest(FROM_MACHINE as never, this.#incoming as never)
    if (this.#real !== null) {
      copy.#real = this.#real.clone()
      return copy
    }
    if (LightRequest.#isUnusable(this)) throw body.unusable()
    copy.#url = this.url
    copy.#headers = copyOf(this.headers)
    copy.#origin = this
    const stream = this.body
    if (stream !== null) [this.#stream, copy.#stream] = stream.tee()
    return copy
  }

  static #startSignal(request: LightRequest): AbortController {
    const controller = new AbortController()
    if (request.#origin !== null) follow(controller, request.#origin.signal)
    if (request.#aborted) controller.abort(request.#reason)
    else if (request.#origin === null) request.#incoming!.onSignal?.()
    return controller
  }

  static #isUnusable(request: LightRequest): boolean {
    return request.#used || (request.#stream !== null && body.isUnusable(request.#stream))
  }

  /** Marks the body as used and converts its bytes before anything else can run. */
  static async #read<T>(request: LightRequest, convert: (bytes: Uint8Array) => T): Promise<T> {
    if (request.#source === null) return convert(new Uint8Array())
    if (LightRequest.#isUnusable(request)) throw body.unusable()
    request.#used = true
    if (request.#stream !== null) return convert(await body.readBytes(request.#stream))
    const bytes = request.#source.buffered()
    return convert(bytes instanceof Uint8Array ? bytes : await bytes)
  }

  static #carry(request: LightRequest): (bytes: Uint8Array) => Response {
    const payloadOf = (bytes: Uint8Array) => (request.#source === null ? null : body.bytesOf(bytes))
    return (bytes) => body.carrierOf(payloadOf(bytes), request.headers.get('content-type'))
  }

  /** Gives a real request with the same content; the body, if it is wanted, moves to it. */
  static #toReal(request: LightRequest, withBody: boolean, dropped?: ReadonlySet<string>): Request {
    if (request.#real !== null) return request.#real
    if (withBody && LightRequest.#isUnusable(request)) throw body.unusable()
    const stream = withBody ? request.body : null
    const headers = [...request.headers].filter(([name]) => !dropped?.has(name))
    const { url, method, signal } = request
    const real = new (realRequest())(url, { method, headers, signal, body: stream, duplex: 'half' })
    if (stream !== null) request.#used = true
    return real
  }

  static {
    inside = {
      owns: (value): value is LightRequest => #real in value,
      real: (request) => request.#real,
      incoming: (request) => request.#incoming,
      toReal: LightRequest.#toReal,
      abort: (request, reason) => {
        if (request.#aborted || request.#incoming === null) return
        request.#aborted = true
        request.#reason = reason
        request.#incoming.onAbort?.()
        request.#controller?.abort(reason)
      },
    }
  }
}

function follow(controller: AbortController, signal: AbortSignal): void {
  if (signal.aborted) controller.abort(signal.reason)
  else signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true })
}

/** GET and HEAD have no body in the Fetch standard, whatever was sent. */
function sourceOf(incoming: Incoming): RequestBodySource | null {
  return incoming.method === 'GET' || incoming.method === 'HEAD' ? null : incoming.body
}

/** Makes a light request of one that the HTTP machine has parsed. */
export function requestFrom(incoming: Incoming): Request {
  return new LightRequest(FROM_MACHINE as never, incoming as never)
}

/** Gives what the HTTP machine had made a light request of; null where it made none. */
export function incomingOf(request: Request): Incoming | null {
  return inside.owns(request) ? inside.incoming(request) : null
}

/**
 * Aborts the signal of an incoming request, with an AbortError if no reason is given. An app that never asked for the
 * signal costs nothing; if it asks later, it gets an aborted one. Requests made by apps are left alone.
 */
export function abortRequest(request: Request, reason: unknown = aborted()): void {
  if (inside.owns(request)) inside.abort(request, reason)
}

function aborted(): DOMException {
  return new DOMException('This operation was aborted', 'AbortError')
}

/**
 * Gives the real request behind or equal to a light one, to pass on to the platform; anything else as it is. The body
 * moves to it unless `options` bring one. Throws TypeError if the body was used. Headers in `dropped` are left out.
 */
export function toRealRequest<T>(input: T, options?: RequestInit, dropped?: ReadonlySet<string>): T | Request {
  if (typeof input !== 'object' || input === null || !inside.owns(input)) return input
  return inside.toReal(input, options?.body === undefined || options.body === null, dropped)
}

defineAttributes(LightRequest.prototype, (request) => inside.real(request))
implementsInterface(LightRequest, 'Request', { length: 1, toReal: (self) => inside.toReal(self, false) as never })
inspectsAs(LightRequest.prototype, 'Request', (request) => pickMembers(request, SHOWN))
