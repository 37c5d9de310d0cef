/** A connection that is driven by completions: given what was read, told when what it wrote is gone. */
import { CLOSED, Connection, LINGER_MS, READABLE, type Service, type Transport, WRITABLE } from '@cs/core/connection'
import { EAGAIN, ECONNRESET, EPIPE } from '@cs/core/posix'
import { describe, expect, it } from 'vitest'
import { get, type Handler, post, serviceOf, until } from './peer.js'

const FD = 1000 // never used: the transport of the test has no descriptors

/** Takes writes, one at a time and at most so many bytes, and completes them when the test says so. */
class FakeTransport implements Transport {
  readonly completes = true
  readonly log: string[] = []
  output = ''
  isWriting = false
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  send(_fd: number, bytes: Uint8Array, length: number): number {
    if (this.isWriting) return -EAGAIN
    this.isWriting = true
    const n = Math.min(length, this.#most)
    this.output += Buffer.from(bytes.subarray(0, n)).toString('latin1')
    return n
  }

  sendv(fd: number, chunks: readonly Uint8Array[]): number {
    const all = Buffer.concat(chunks)
    return this.send(fd, all, all.length)
  }

  unread(): number {
    return -EAGAIN
  }

  shutdown(): void {
    this.log.push('shutdown')
  }

  close(): void {
    this.log.push('close')
  }
}

interface Driven {
  readonly service: Service
  readonly transport: FakeTransport
  readonly connection: Connection
  /** Completes a read. */
  say(text: string): number
  /** Completes the write that is under way. */
  sent(): number
}

function drive(handler: Handler, most = 1 << 20): Driven {
  const service = serviceOf(handler)
  const transport = new FakeTransport(most)
  service.transport = transport
  const connection = Connection.accept(service, FD)
  return {
    service,
    transport,
    connection,
    say(text) {
      const bytes = Buffer.from(text, 'latin1')
      const waiting = connection.received(bytes, bytes.length)
      bytes.fill(0) // they were lent
      return waiting
    },
    sent() {
      expect(transport.isWriting).toBe(true)
      transport.isWriting = false
      return connection.sent(1)
    },
  }
}

describe('driven by completions', () => {
  it('answers what it is given, and is ready for the next request when the answer is gone', () => {
    const { transport, say, sent } = drive(() => new Response('hi'))
    expect(say(get('/'))).toBe(WRITABLE)
    expect(transport.output).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*\r\n\r\nhi$/)
    expect(sent()).toBe(READABLE)
    expect(say(get('/'))).toBe(WRITABLE)
    expect(transport.output.match(/HTTP\/1.1 200/g)).toHaveLength(2)
  })

  it('keeps requests that come while an answer is being written, and answers them then', () => {
    const asked: string[] = []
    const { transport, say, sent } = drive((request) => {
      asked.push(new URL(request.url).pathname)
      return new Response(asked.at(-1)!)
    })
    const [second, third] = [get('/2'), get('/3')]
    say(get('/1'))
    say(second.slice(0, 10))
    say(second.slice(10) + third)
    expect(asked).toEqual(['/1'])
    sent()
    expect(asked).toEqual(['/1', '/2', '/3'])
    sent()
    expect(transport.output.match(/\r\n\r\n\/\d/g)).toEqual(['\r\n\r\n/1', '\r\n\r\n/2', '\r\n\r\n/3'])
  })

  it('writes what does not fit one operation with as many as it takes, in order', () => {
    const body = Array.from({ length: 20_000 }, (_, i) => `${i} `).join('')
    const { transport, say, sent } = drive(() => new Response(body), 1000)
    say(get('/'))
    while (sent() === WRITABLE);
    expect(transport.output.endsWith(`\r\n\r\n${body}`)).toBe(true)
  })

  it('writes a stream chunk by chunk, no faster than they are gone', async () => {
    let pulled = 0
    const stream = new ReadableStream(
      {
        pull(controller) {
          controller.enqueue(Buffer.from(`chunk ${pulled++} `))
          if (pulled === 5) controller.close()
        },
      },
      { highWaterMark: 0 },
    )
    const { transport, say, sent } = drive(() => new Response(stream))
    say(get('/'))
    await until(() => transport.isWriting)
    const before = pulled
    await new Promise(setImmediate)
    expect(pulled).toBe(before)
    while (!transport.output.endsWith('0\r\n\r\n')) {
      await until(() => transport.isWriting)
      sent()
    }
    expect(transport.output.match(/chunk \d/g)).toEqual(['chunk 0', 'chunk 1', 'chunk 2', 'chunk 3', 'chunk 4'])
  })

  it('closes when the last answer is gone, and not before', () => {
    const { transport, say, sent } = drive(() => new Response('bye'))
    expect(say(get('/', 'connection: close\r\n'))).toBe(WRITABLE)
    expect(transport.log).toEqual([])
    expect(sent()).toBe(CLOSED)
    expect(transport.log).toEqual(['close'])
  })

  it('closes where the client left, when its answer is gone', () => {
    const { connection, transport, say, sent } = drive(() => new Response('x'))
    say(get('/'))
    expect(connection.received(Buffer.alloc(0), 0)).toBe(WRITABLE)
    expect(sent()).toBe(CLOSED)
    expect(transport.log).toEqual(['close'])
  })

  it('lingers behind a refusal, throwing away what comes until the end of the stream', () => {
    const { connection, transport, service, say, sent } = drive(() => new Response('never'))
    say('NONSENSE\r\n\r\n')
    expect(transport.output).toMatch(/^HTTP\/1.1 400/)
    expect(sent()).toBe(READABLE)
    expect(transport.log).toEqual(['shutdown'])
    expect(say(get('/'))).toBe(READABLE)
    expect(transport.output.match(/HTTP/g)).toHaveLength(1)
    service.now += LINGER_MS
    expect(connection.expired).toBe(true)
    expect(connection.received(Buffer.alloc(0), 0)).toBe(CLOSED)
    expect(transport.log).toEqual(['shutdown', 'close'])
  })

  it.each([
    ['a read', (driven: Driven) => driven.connection.received(Buffer.alloc(0), -ECONNRESET)],
    ['a write', (driven: Driven) => driven.connection.sent(-EPIPE)],
  ])('closes where %s fails', (_, fail) => {
    const driven = drive(() => new Response('x'))
    driven.say(get('/'))
    expect(fail(driven)).toBe(CLOSED)
    expect(driven.transport.log).toEqual(['close'])
  })

  it('counts the time in which a client takes nothing', () => {
    const { connection, service, say } = drive(() => new Response('x'))
    say(get('/'))
    service.now += service.timeouts.write
    expect(connection.expired).toBe(true)
  })

  it('says when a client has sent too far ahead, and takes it up again when the body is read', async () => {
    let read: () => void = () => {}
    const { connection, say, sent, transport } = drive(async (request) => {
      await new Promise<void>((resolve) => (read = resolve))
      return new Response(String((await request.arrayBuffer()).byteLength))
    })
    const size = 1 << 20
    say(post('', size))
    let given = 0
    const piece = 'x'.repeat(16 * 1024)
    for (; !connection.sated && given < size; given += piece.length) say(piece)
    expect(given).toBeLessThan(size / 2)
    expect(connection.waiting).not.toBe(READABLE)
    read()
    await until(() => connection.waiting === READABLE)
    expect(connection.sated).toBe(false)
    for (; given < size; given += piece.length) say(piece)
    await until(() => transport.isWriting)
    sent()
    expect(transport.output).toMatch(new RegExp(`\r\n\r\n${size}$`))
  })
})
