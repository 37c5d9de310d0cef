/** A raw TCP client: says exactly the bytes it is told to, and reads responses strictly. */

import { connect as dial, type NetConnectOpts, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { pause, within } from './deadline.js'

/** A whole response. */
export interface Reply {
  readonly status: number
  readonly version: string
  /** By lower-case name; repeated fields are joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly trailers: string
  /** Status codes of the interim responses before it. */
  readonly interim: readonly number[]
}

export interface ClientOptions {
  /** Reads nothing until {@link Client.resume}. */
  readonly paused?: boolean
}

/** Opens a connection, which is closed at the end of the test. */
export async function connect(
  server: { readonly address: NetConnectOpts },
  options: ClientOptions = {},
): Promise<Client> {
  const socket = dial({ ...server.address, allowHalfOpen: true, noDelay: true })
  const client = new Client(socket, options)
  onTestFinished(() => client.destroy())
  await within('the connection is made', client.connected)
  return client
}

/** Opens several connections, one after the other. */
export async function connectMany(
  count: number,
  server: { readonly address: NetConnectOpts },
  options: ClientOptions = {},
): Promise<Client[]> {
  const clients: Client[] = []
  while (clients.length < count) clients.push(await connect(server, options))
  return clients
}

/** Renders a request; `host` is added, the body's length too unless the fields say how it is framed. */
export function request(target: string, settings: RequestSettings = {}): string {
  const { method = 'GET', version = 'HTTP/1.1', headers = {}, body = '' } = settings
  const fields: Record<string, string> = { host: 'test', ...headers }
  if (body !== '' && !('content-length' in headers)) fields['content-length'] = String(Buffer.byteLength(body))
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${target} ${version}\r\n${lines.join('')}\r\n${body}`
}

export interface RequestSettings {
  readonly method?: string
  readonly version?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export class Client {
  readonly connected: Promise<void>
  /** How the server ended the connection. */
  end: 'fin' | 'reset' | undefined
  readonly #socket: Socket
  #chunks: Buffer[] = []
  #length = 0
  #changed: () => void = () => {}

  constructor(socket: Socket, { paused = false }: ClientOptions) {
    this.#socket = socket
    if (paused) socket.pause()
    this.connected = new Promise((resolve, reject) => {
      socket.on('connect', resolve)
      socket.on('error', reject)
    })
    this.connected.catch(() => {})
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#length += chunk.length
      this.#changed()
    })
    socket.on('end', () => this.#ends('fin'))
    socket.on('error', () => this.#ends('reset'))
    socket.on('close', () => this.#ends('reset'))
  }

  /** The client's own port. */
  get port(): number {
    return this.#socket.localPort!
  }

  /** Bytes that came and were not read yet. */
  get available(): number {
    return this.#length
  }

  /** Hands bytes to the socket. */
  send(bytes: string | Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** Hands bytes to the socket and waits until the kernel has taken them. */
  sendAll(bytes: string | Uint8Array): Promise<void> {
    return within(
      'the bytes are taken',
      new Promise((resolve, reject) => this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()))),
    )
  }

  /** Sends a request and reads the response. */
  async ask(target: string, settings: RequestSettings = {}): Promise<Reply> {
    this.send(request(target, settings))
    return this.reply(settings.method)
  }

  /** Reads one response whole; the method of its request says whether it has a body (RFC 9112 §6.3). */
  async reply(method = 'GET'): Promise<Reply> {
    const interim: number[] = []
    for (;;) {
      const head = (await this.readUntil('\r\n\r\n')).toString('latin1')
      const { version, status, headers } = parseHead(head)
      if (status >= 100 && status < 200) {
        interim.push(status)
        continue
      }
      const rest = { version, status, headers, interim }
      if (method === 'HEAD' || status === 204 || status === 304) return { ...rest, body: Buffer.alloc(0), trailers: '' }
      if (headers['transfer-encoding'] === 'chunked') return { ...rest, ...(await this.#chunked()) }
      const length = headers['content-length']
      const body = length === undefined ? await this.rest() : await this.read(Number(length))
      return { ...rest, body, trailers: '' }
    }
  }

  /** Reads the data of the next chunk of a chunked body, empty for the last. */
  async chunk(): Promise<Buffer> {
    const line = (await this.readUntil('\r\n')).toString('latin1').trimEnd()
    if (!/^[\dA-Fa-f]+$/.test(line)) throw new Error(`this is no chunk size: ${JSON.stringify(line)}`)
    const size = Number.parseInt(line, 16)
    if (size === 0) return Buffer.alloc(0)
    const data = await this.read(size)
    if ((await this.read(2)).toString() !== '\r\n') throw new Error('a chunk does not end with CRLF')
    return data
  }

  async read(count: number): Promise<Buffer> {
    await this.#until(`${count} bytes come`, () => this.#length >= count)
    return this.#take(count)
  }

  /** Reads up to and with a delimiter. */
  async readUntil(delimiter: string): Promise<Buffer> {
    await this.#until(`${JSON.stringify(delimiter)} comes`, () => this.#peek().includes(delimiter))
    return this.#take(this.#peek().indexOf(delimiter) + delimiter.length)
  }

  /** Reads until the server ends the connection. */
  async rest(): Promise<Buffer> {
    await this.closed()
    return this.#take(this.#length)
  }

  /** Waits until the server has ended the connection, and tells how. */
  async closed(): Promise<'fin' | 'reset'> {
    while (this.end === undefined) await within('the server closes the connection', this.#news())
    return this.end
  }

  /** Says that nothing more will be sent. */
  halfClose(): void {
    this.#socket.end()
  }

  /** Leaves with a reset. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }

  /** Leaves; in order where nothing unread has come. */
  destroy(): void {
    this.#socket.destroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Reads nothing for a while. */
  async rests(ms: number): Promise<void> {
    this.pause()
    await pause(ms)
    this.resume()
  }

  async #chunked(): Promise<{ body: Buffer; trailers: string }> {
    const chunks: Buffer[] = []
    for (;;) {
      const data = await this.chunk()
      if (data.length === 0) break
      chunks.push(data)
    }
    let trailers = ''
    for (;;) {
      const line = (await this.readUntil('\r\n')).toString('latin1')
      if (line === '\r\n') return { body: Buffer.concat(chunks), trailers }
      trailers += line
    }
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.end !== undefined) {
        const seen = this.#peek().toString('latin1').slice(0, 300)
        throw new Error(`the connection ended (${this.end}) before ${what}; unread: ${JSON.stringify(seen)}`)
      }
      await within(what, this.#news())
    }
  }

  #news(): Promise<void> {
    return new Promise((resolve) => (this.#changed = resolve))
  }

  #ends(how: 'fin' | 'reset'): void {
    this.end ??= how
    this.#changed()
  }

  #peek(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]
  }

  #take(count: number): Buffer {
    const bytes = this.#peek()
    this.#chunks = [bytes.subarray(count)]
    this.#length -= count
    return bytes.subarray(0, count)
  }
}

function parseHead(head: string): Pick<Reply, 'version' | 'status' | 'headers'> {
  const [line, ...fields] = head.slice(0, -4).split('\r\n')
  const [, version, status] = /^(HTTP\/1\.[01]) (\d{3}) [^\r\n]*$/.exec(line) ?? []
  if (version === undefined) throw new Error(`this is no status line: ${JSON.stringify(line)}`)
  const headers: Record<string, string> = {}
  for (const field of fields) {
    const [, name, value] = /^([!#$%&'*+\-.^_`|~\w]+):[ \t]*(.*?)[ \t]*$/.exec(field) ?? []
    if (name === undefined) throw new Error(`this is no field: ${JSON.stringify(field)}`)
    const key = name.toLowerCase()
    headers[key] = key in headers ? `${headers[key]}, ${value}` : value
  }
  return { version, status: Number(status), headers }
}
