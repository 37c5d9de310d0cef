/**
 * Idle keep-alive connections: each has sent one request and got its answer, and is silent since.
 *
 * They belong to the bench itself, in node:net sockets, so the server alone is what is measured.
 */
import { connect, type Socket } from 'node:net'

/** Connections that are opened at the same time, less than any backlog. */
const BATCH = 64
/** In which a connection must be open and its request answered. */
const ANSWER_MS = 10_000

export class IdleConnections {
  readonly #url: URL
  readonly #sockets = new Set<Socket>()
  #opened = 0

  constructor(url: string) {
    this.#url = new URL(url)
  }

  /** How many are open now. */
  get size(): number {
    return this.#sockets.size
  }

  /** Opens more until there are so many. @throws when the server does not answer one, or does not keep it */
  async grow(count: number, signal: AbortSignal): Promise<void> {
    while (this.#opened < count) {
      signal.throwIfAborted()
      const batch = Math.min(BATCH, count - this.#opened)
      this.#opened += batch
      await Promise.all(Array.from({ length: batch }, () => this.#open()))
    }
  }

  async #open(): Promise<void> {
    const socket = connect({ host: this.#url.hostname, port: Number(this.#url.port) })
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    await answered(socket, this.#url)
  }

  /** @throws when the server has closed one: what was measured is not what it seems */
  assertOpen(): void {
    const lost = this.#opened - this.size
    if (lost > 0) throw new Error(`closed ${lost} of ${this.#opened} idle connections`)
  }

  /** Closes all, by a reset: none must wait in TIME_WAIT and hold a port that the next server's connections may need. */
  async close(): Promise<void> {
    const closed = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await Promise.all(closed)
    this.#opened = 0
  }
}

/** Sends one request and takes its answer; the socket stays open, and errors that come later only close it. */
function answered(socket: Socket, { host, pathname }: URL): Promise<void> {
  let text = ''
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => {
      reject(new Error(`an idle connection ${what}`))
      socket.destroy()
    }
    const isSilent = (): void => fail(`had no answer within ${ANSWER_MS / 1000} s`)
    const read = (chunk: string): void => {
      text += chunk
      if (!isWhole(text)) return
      if (!isKept(text)) return fail(`was answered ${text.slice(0, text.indexOf('\r'))}, and is not kept`)
      socket.off('data', read).off('timeout', isSilent).setTimeout(0)
      socket.resume() // what comes now is the end
      resolve()
    }
    socket.setEncoding('latin1').setTimeout(ANSWER_MS).on('timeout', isSilent).on('data', read)
    socket.on('error', (error) => fail(`failed: ${error.message}`))
    socket.on('close', () => fail('was closed before its answer'))
    socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  })
}

/** Whether the response is there to its last byte; the servers of the bench all say how long it is. */
function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n')
  if (head === -1) return false
  const length = Number(/^content-length: *(\d+)/im.exec(text.slice(0, head))?.[1])
  return !(text.length < head + 4 + length) // one that does not say its length is not waited for
}

function isKept(text: string): boolean {
  return /^HTTP\/1\.1 2\d\d/.test(text) && /^content-length:/im.test(text) && !/^connection: *close/im.test(text)
}
