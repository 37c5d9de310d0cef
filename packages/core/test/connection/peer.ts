import { setImmediate } from 'node:timers/promises'
import { Connection, Service, type ServiceOptions } from '@cs/core/connection'
import { installFetchGlobals } from '@cs/core/http'
import { close, recv, SHUT_WR, send, shutdown, socketpair } from '@cs/core/posix'
import { expect, onTestFinished } from 'vitest'

installFetchGlobals()

export type Handler = (request: Request) => Response | Promise<Response>

/** A service whose clock stands still unless a test moves it, and whose log is kept. */
export function serviceOf(
  fetch: Handler,
  options: Partial<ServiceOptions> = {},
): Service & { readonly logged: string[] } {
  const logged: string[] = []
  const log = (message: string, error?: unknown) => void logged.push(`${message}: ${(error as Error)?.message}`)
  return Object.assign(new Service({ app: { fetch }, log, readsAhead: true, ...options }), { logged, tick: () => {} })
}

/** The client's end of a connection, and the server's. */
export class Peer {
  readonly service: Service
  readonly connection: Connection
  readonly fd: number
  /** All that has come, a character a byte. */
  received = ''
  ended = false
  readonly #buffer = Buffer.alloc(1 << 20)

  constructor(service: Service) {
    const [ours, theirs] = socketpair({ nonblocking: true })
    this.service = service
    this.fd = ours
    this.connection = Connection.accept(service, theirs)
    onTestFinished(() => {
      close(ours)
      this.connection.close()
    })
  }

  /** Sends bytes and lets the server do what it can; returns what it waits for. */
  say(...pieces: (string | Uint8Array)[]): number {
    for (const piece of pieces) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece
      expect(send(this.fd, bytes, 0, bytes.length)).toBe(bytes.length)
    }
    return this.connection.advance()
  }

  /** Says that the client will send no more. */
  finish(): number {
    shutdown(this.fd, SHUT_WR)
    return this.connection.advance()
  }

  /** Receives what has come by now, up to `most` bytes. */
  hear(most = Number.POSITIVE_INFINITY): string {
    let heard = ''
    while (heard.length < most) {
      const n = recv(this.fd, this.#buffer, 0, Math.min(this.#buffer.length, most - heard.length))
      if (n === 0) this.ended = true
      if (n <= 0) break
      heard += this.#buffer.latin1Slice(0, n)
    }
    this.received += heard
    return heard
  }

  /** The bodies of the responses that have come, which all have a Content-Length. */
  bodies(): string[] {
    this.hear()
    return bodiesOf(this.received)
  }
}

export function bodiesOf(text: string): string[] {
  const bodies: string[] = []
  for (let at = 0; at < text.length; ) {
    const body = text.indexOf('\r\n\r\n', at) + 4
    const length = Number(/content-length: (\d+)/.exec(text.slice(at, body))?.[1])
    bodies.push(text.slice(body, body + length))
    at = body + length
  }
  return bodies
}

export const get = (path = '/', more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`

export const post = (body: string, length = body.length, path = '/'): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${body}`

/** Turns the event loop until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate()
}

/** Turns the event loop often enough for whatever is under way to get as far as it can. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await setImmediate()
}

/** A promise and how to resolve it. */
export function later<T>(): { readonly promise: Promise<T>; resolve(value: T): void; reject(error: unknown): void } {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
