/**
 * Response (Fetch §5.5), an instance of the real class and some two hundred times cheaper to make.
 *
 * It keeps what it was given; headers, streams, blobs and forms come into being when an app asks for them.
 */

import * as body from './body.js'
import { copyOf, flatten, immutable, LightHeaders, raw } from './headers.js'
import { type BodyInit, implementsInterface, inspectsAs, makeEnumerable, pickMembers, realResponse } from './real.js'
import * as init from './response-init.js'

/** Lists that responses share, frozen so that what was made of one can be kept. */
const NO_HEADERS: readonly string[] = Object.freeze([])
const TEXT_HEADERS: readonly string[] = Object.freeze(['content-type', body.TEXT_TYPE])
const JSON_HEADERS: readonly string[] = Object.freeze(['content-type', 'application/json'])

/** What console.log shows of a response. */
const SHOWN: readonly (keyof Response)[] = [
  'status',
  'statusText',
  'headers',
  'body',
  'bodyUsed',
  'ok',
  'redirected',
  'type',
  'url',
]

type Init = Readonly<Record<'status' | 'statusText' | 'headers', unknown>>

/** Doors to the private state, set by the class itself and used by response-parts.ts alone. */
export let inside: {
  readonly owns: (value: object) => value is LightResponse
  readonly make: (status: number, statusText: string, flat: readonly string[], payload: body.Payload) => LightResponse
  readonly status: (response: LightResponse) => number
  readonly statusText: (response: LightResponse) => string
  readonly flat: (response: LightResponse) => readonly string[]
  readonly payload: (response: LightResponse) => body.Payload
  readonly take: (response: LightResponse) => body.Payload
}

export class LightResponse implements Response {
  #payload: body.Payload = null
  /** Read, or given away: the bodies that are no stream cannot tell it themselves. */
  #used = false
  #status = 200
  #statusText = ''
  /** The header list until the app asks for `headers`; possibly shared, so never changed. */
  #flat: readonly string[] = NO_HEADERS
  #headers: LightHeaders | null = null
  #type: Response['type'] = 'default'

  /**
   * Makes a response; throws RangeError for a status outside 200-599, and TypeError for an invalid header, statusText
   * or body, or a body where the status forbids one (Fetch §5.5).
   */
  constructor(payload?: BodyInit | null, options?: ResponseInit) {
    if (typeof payload === 'string') {
      this.#payload = payload
      this.#flat = TEXT_HEADERS
    } else if (payload !== undefined && payload !== null) {
      const { payload: extracted, type } = body.extract(payload)
      this.#payload = extracted
      if (type !== null) this.#flat = type === body.TEXT_TYPE ? TEXT_HEADERS : ['content-type', type]
    }
    if (options !== undefined && options !== null) LightResponse.#initialise(this, options as Init)
  }

  /** Gives a network error (§5.5). */
  static error(): Response {
    const response = new LightResponse()
    response.#status = 0
    response.#type = 'error'
    response.#headers = immutable(new LightHeaders())
    return response
  }

  /** Redirects to an absolute URL; throws TypeError if it does not parse, RangeError for another status (§5.5). */
  static redirect(url: string | URL, status = 302): Response {
    const location = init.locationFrom(url)
    const response = new LightResponse()
    response.#status = init.redirectStatusFrom(status)
    response.#headers = immutable(LightHeaders.fromWire(['location', location]))
    return response
  }

  /** Serialises `data` as the body; throws TypeError if it has no JSON form or `options` are invalid (§5.5). */
  static json(data: unknown, options?: ResponseInit): Response {
    const response = new LightResponse()
    response.#payload = init.jsonFrom(data)
    response.#flat = JSON_HEADERS
    if (options !== undefined && options !== null) LightResponse.#initialise(response, options as Init)
    return response
  }

  static #initialise(response: LightResponse, options: Init): void {
    if (typeof options !== 'object' && typeof options !== 'function') throw new TypeError('ResponseInit is no object')
    const { headers, status, statusText } = options
    if (status !== undefined) response.#status = init.statusFrom(status)
    if (statusText !== undefined && statusText !== '') response.#statusText = init.statusTextFrom(statusText)
    if (headers !== undefined) response.#flat = init.withType(flatten(headers), response.#flat)
    if (response.#payload !== null && init.isNullBodyStatus(response.#status)) {
      throw new TypeError(`a response with status ${response.#status} has no body`)
    }
  }

  get type(): Response['type'] {
    return this.#type
  }

  get url(): string {
    return ''
  }

  get redirected(): boolean {
    return false
  }

  get status(): number {
    return this.#status
  }

  get ok(): boolean {
    return this.#status >= 200 && this.#status <= 299
  }

  get statusText(): string {
    return this.#statusText
  }

  get headers(): Headers {
    this.#headers ??= LightHeaders.fromWire(this.#flat.slice())
    return this.#headers
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#payload === null) return null
    const stream = body.streamOf(this.#payload, this.#used)
    this.#payload = stream
    return stream
  }

  get bodyUsed(): boolean {
    return this.#used || (this.#payload instanceof ReadableStream && body.isDisturbed(this.#payload))
  }

  /** Reads the body as bytes; rejects with TypeError if it was read before (§5.3). */
  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await LightResponse.#read(this)).buffer
  }

  /** Reads the body as a blob of the type that the headers say; rejects with TypeError if it was read before (§5.3). */
  async blob(): Promise<Blob> {
    return LightResponse.#carrier(this).blob()
  }

  /** Reads the body as bytes; rejects with TypeError if it was read before (§5.3). */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return LightResponse.#read(this)
  }

  /** Reads the body as a form; rejects with TypeError if it is none or was read before (§5.3). */
  async formData(): Promise<FormData> {
    return LightResponse.#carrier(this).formData()
  }

  /** Reads the body as JSON; rejects with SyntaxError if it is none, TypeError if it was read before (§5.3). */
  async json(): Promise<unknown> {
    return JSON.parse(await LightResponse.#readText(this))
  }

  /** Reads the body as UTF-8; rejects with TypeError if it was read before (§5.3). */
  async text(): Promise<string> {
    return LightResponse.#readText(this)
  }

  /** Copies the response, its body through a tee; throws TypeError if the body was used (§5.5). */
  clone(): Response {
    if (LightResponse.#isUnusable(this)) throw body.unusable()
    const copy = new LightResponse()
    copy.#payload = this.#payload
    if (this.#payload instanceof ReadableStream) [this.#payload, copy.#payload] = this.#payload.tee()
    copy.#status = this.#status
    copy.#statusText = this.#statusText
    copy.#flat = this.#flat
    if (this.#headers !== null) copy.#headers = copyOf(this.#headers)
    copy.#type = this.#type
    return copy
  }

  static #isUnusable(response: LightResponse): boolean {
    const payload = response.#payload
    return response.#used || (payload instanceof ReadableStream && body.isUnusable(payload))
  }

  static #take(response: LightResponse): body.Payload {
    const payload = response.#payload
    if (payload === null) return null
    if (LightResponse.#isUnusable(response)) throw body.unusable()
    response.#used = true
    return payload
  }

  static async #read(response: LightResponse): Promise<Uint8Array<ArrayBuffer>> {
    return body.readBytes(LightResponse.#take(response) ?? '')
  }

  static async #readText(response: LightResponse): Promise<string> {
    return body.readText(LightResponse.#take(response) ?? '')
  }

  static #carrier(response: LightResponse): Response {
    return body.carrierOf(LightResponse.#take(response), response.headers.get('content-type'))
  }

  static {
    inside = {
      owns: (value): value is LightResponse => #payload in value,
      make: (status, statusText, flat, payload) => {
        const response = new LightResponse()
        response.#status = status
        response.#statusText = statusText
        response.#flat = flat
        response.#payload = payload
        return response
      },
      status: (response) => response.#status,
      statusText: (response) => response.#statusText,
      flat: (response) => (response.#headers === null ? response.#flat : raw(response.#headers)),
      payload: (response) => response.#payload,
      take: LightResponse.#take,
    }
  }
}

function toReal(response: LightResponse): Response {
  const { status, statusText, headers } = response
  if (status === 0) return realResponse().error()
  return new (realResponse())(response.body, { status, statusText, headers })
}

implementsInterface(LightResponse, 'Response', { length: 0, toReal: toReal as never })
makeEnumerable(LightResponse, ['error', 'json', 'redirect'])
inspectsAs(LightResponse.prototype, 'Response', (response) => pickMembers(response, SHOWN))
