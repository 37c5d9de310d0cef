import {
  DateField,
  DEFAULT_LIMITS,
  type HttpContext,
  type HttpLimits,
  HttpMachine,
  LightResponse,
  Output,
} from '@cs/core/http'

export type Handler = (request: Request) => Response | Promise<Response> | undefined

export interface ClientOptions {
  readonly limits?: Partial<HttpLimits>
  readonly gather?: number
  /** Answers each request; without one the test calls {@link Client.respond}. */
  readonly handler?: Handler
}

/** The Date line of every response of the tests. */
export const DATE = 'date: Fri, 20 Nov 2026 12:00:00 GMT\r\n'

/** One connection as a client sees it: bytes in, what was sent back as latin1 text; the part of the driver is played here. */
export class Client {
  readonly machine: HttpMachine
  readonly requests: Request[] = []
  readonly context: HttpContext
  /** Everything that the machine sent, a character a byte. */
  sent = ''
  refusals = 0
  changes = 0
  #handler: Handler | undefined
  /** One buffer for all that is received, overwritten each time, as a loop's is. */
  readonly #buffer = Buffer.alloc(1 << 20)

  constructor({ limits, gather = 0, handler }: ClientOptions = {}) {
    this.#handler = handler
    this.context = {
      limits: { ...DEFAULT_LIMITS, ...limits },
      output: new Output(),
      date: new DateField(Date.UTC(2026, 10, 20, 12)),
      gather,
      refused: () => {
        this.refusals++
      },
    }
    this.machine = new HttpMachine(this.context)
    this.machine.onChange = () => {
      this.changes++
      this.#collect()
    }
  }

  /** Sends bytes, one receive for each argument. */
  feed(...pieces: (string | Uint8Array)[]): this {
    for (const piece of pieces) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece
      this.#buffer.set(bytes)
      this.machine.receive(this.#buffer, bytes.length)
      this.#advance()
      this.#buffer.fill(0xee, 0, bytes.length)
    }
    return this
  }

  /** Sends bytes one at a time. */
  trickle(text: string): this {
    return this.feed(...text)
  }

  /** Shuts down the client's sending side. */
  end(): this {
    this.machine.endOfInput()
    this.#advance()
    return this
  }

  respond(response: Response): ReadableStream<Uint8Array> | undefined {
    const stream = this.machine.respond(response)
    if (stream === undefined) this.#advance()
    return stream
  }

  write(chunk: string | Uint8Array): boolean {
    const fits = this.machine.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
    this.#collect()
    return fits
  }

  finish(whole = true): void {
    this.machine.finish(whole)
    this.#advance()
  }

  /** Gives what was sent since the last call. */
  take(): string {
    const sent = this.sent
    this.sent = ''
    return sent
  }

  #advance(): void {
    let request: Request | undefined
    while ((request = this.machine.next()) !== undefined) {
      this.requests.push(request)
      const answer = this.#handler?.(request)
      if (answer instanceof Promise) {
        answer.then(
          (response) => this.#answer(response),
          () => this.#answer(new LightResponse(null, { status: 500 })),
        )
      } else if (answer !== undefined) this.#answer(answer)
    }
    this.#collect()
    this.machine.settle()
  }

  #answer(response: Response): void {
    const stream = this.machine.respond(response)
    if (stream === undefined) return this.#advance()
    void this.#copy(stream)
  }

  async #copy(stream: ReadableStream<Uint8Array>): Promise<void> {
    let whole = false
    try {
      for await (const chunk of stream) if (!this.write(chunk)) throw new RangeError('too long')
      whole = true
    } catch {}
    this.finish(whole)
  }

  #collect(): void {
    for (const chunk of this.context.output.takeRest(0)) this.sent += Buffer.from(chunk).toString('latin1')
  }
}

/** Lets everything that waits for nothing from outside happen. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A request of HTTP/1.1 with a Host. */
export function get(target = '/', ...fields: string[]): string {
  return head('GET', target, ...fields)
}

export function head(method: string, target: string, ...fields: string[]): string {
  return `${method} ${target} HTTP/1.1\r\n${['Host: a', ...fields].map((field) => `${field}\r\n`).join('')}\r\n`
}

export function post(body: string, ...fields: string[]): string {
  return head('POST', '/', `Content-Length: ${body.length}`, ...fields) + body
}

export function chunkedPost(body: string, ...fields: string[]): string {
  return head('POST', '/', 'Transfer-Encoding: chunked', ...fields) + body
}

/** What the machine answers by itself. */
export function refusal(status: number, reason: string): string {
  const text = `${status} ${reason}\n`
  return `HTTP/1.1 ${status} ${reason}\r\ncontent-type: text/plain;charset=UTF-8\r\n${DATE}connection: close\r\ncontent-length: ${text.length}\r\n\r\n${text}`
}

/** Says ok to everything, at once. */
export function ok(): Response {
  return new LightResponse('ok')
}

export const OK = `HTTP/1.1 200 OK\r\ncontent-type: text/plain;charset=UTF-8\r\n${DATE}content-length: 2\r\n\r\nok`
export const OK_CLOSE = OK.replace('content-length', 'connection: close\r\ncontent-length')

/** The status codes of what was sent, in order. */
export function statuses(sent: string): number[] {
  return [...sent.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]))
}
