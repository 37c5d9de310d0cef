import { Answerer, EpollDemultiplexer, Service } from '@cs/core'
import { Sheet } from '@cs/core/crossing'
import { DEFAULT_LIMITS, installFetchGlobals } from '@cs/core/http'
import { close, recv, SHUT_WR, send, shutdown, socketpair } from '@cs/core/posix'
import { ConnectionTable, FREE } from '@cs/core/socket'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Lane } from '../dist/pipeline/lane.js'
import { Lines, READ_LEFT, WRITE_LEFT } from '../dist/pipeline/lines.js'
import { Parser } from '../dist/pipeline/parser.js'
import { Reader } from '../dist/pipeline/reader.js'
import { Scaler } from '../dist/pipeline/scaler.js'
import { createShared, disposeShared, type PipelineShared, reportOf } from '../dist/pipeline/shared.js'
import { Writer } from '../dist/pipeline/writer.js'

installFetchGlobals()

const SIZES = { read: 1, parse: 1, handle: 1, write: 1, most: 0, waiting: 4, laneBytes: 1 << 20 }

function sharedOf(more: Partial<typeof SIZES> = {}): PipelineShared {
  const shared = createShared({ ...SIZES, ...more }, 2)
  onTestFinished(() => disposeShared(shared))
  return shared
}

/** All stages, played by one thread. */
class Line {
  readonly shared: PipelineShared
  readonly table: ConnectionTable = ConnectionTable.create()
  readonly reader: Reader
  readonly parser: Parser
  readonly answerer: Answerer
  readonly writer: Writer
  readonly #readable = new EpollDemultiplexer()
  readonly #writable = new EpollDemultiplexer()

  constructor(fetch: (request: Request) => Response | Promise<Response>, more: Partial<typeof SIZES> = {}) {
    this.shared = sharedOf(more)
    const service = (owner: number, gather = 0): Service =>
      new Service({ app: { fetch }, table: this.table, owner, gather, readsAhead: true, limits: DEFAULT_LIMITS })
    const [read, parse, handle, write] = [service(1), service(2, 65_536), service(3), service(4)]
    const load = (stage: keyof PipelineShared['workloads']) => this.shared.workloads[stage].row(0, this.table)
    this.reader = new Reader(this.shared, 0, read, this.#readable, load('read'))
    this.parser = new Parser(this.shared, 0, parse, load('parse'))
    this.answerer = new Answerer(this.shared.crossing, 0, handle, load('handle'))
    this.writer = new Writer(this.shared, 0, write, this.#writable, load('write'))
    onTestFinished(() => {
      this.answerer.close()
      this.#readable.close()
      this.#writable.close()
      this.table.closeAll()
    })
  }

  /** A client, and the descriptor of its connection. */
  client(): readonly [client: number, fd: number] {
    const [client, fd] = socketpair({ nonblocking: true })
    onTestFinished(() => void close(client))
    this.reader.enter(fd)
    return [client, fd]
  }

  read(): void {
    this.reader.resume()
    const ready = this.#readable.wait(0)
    for (let i = 0; i < ready; i++) this.reader.ready(this.#readable.fd(i))
  }

  write(): void {
    while (this.writer.takes());
    const ready = this.#writable.wait(0)
    for (let i = 0; i < ready; i++) this.writer.ready(this.#writable.fd(i))
  }

  /** Each stage does what there is to do, again and again. */
  async play(rounds = 4): Promise<void> {
    for (let i = 0; i < rounds; i++) {
      this.read()
      while (this.parser.takes()) await this.parser.passOn()
      while (this.answerer.takes());
      await new Promise((resolve) => setImmediate(resolve))
      while (this.parser.takes()) await this.parser.passOn()
      this.write()
    }
  }
}

function say(client: number, text: string): void {
  const bytes = Buffer.from(text, 'latin1')
  expect(send(client, bytes, 0, bytes.length)).toBe(bytes.length)
}

const buffer = Buffer.alloc(1 << 20)

function hear(client: number): string {
  const n = recv(client, buffer, 0, buffer.length)
  return n === 0 ? 'end' : n < 0 ? '' : buffer.latin1Slice(0, n)
}

const get = (path = '/'): string => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`

describe('a lane', () => {
  const record = (bytes: number): Sheet => {
    const sheet = new Sheet()
    sheet.begin(1, 0, 0, bytes)
    return sheet
  }

  it('rings once for all that a thread has put, when that thread says so', () => {
    const lane = Lane.create(1 << 18)
    const put = (): void => lane.put(record(0), () => expect.unreachable('there is room'))
    lane.bell.lieDown()
    put()
    put()
    expect(lane.bell.sleeps).toBe(true)
    lane.call()
    expect(lane.bell.sleeps).toBe(false)
    lane.bell.rise()
    lane.bell.lieDown()
    lane.call()
    expect(lane.bell.sleeps).toBe(true) // nothing was put since
  })

  it('has everybody called before it blocks for room', () => {
    const lane = Lane.create(1 << 18)
    let calls = 0
    const makeRoom = (): void => {
      calls++
      while (lane.take(new Sheet()));
    }
    for (let i = 0; calls === 0 && i < 10; i++) lane.put(record(1 << 16), makeRoom)
    expect(calls).toBe(1)
    expect(lane.report).toMatchObject({ depth: 1 }) // what found no room went in behind
  })
})

describe('a pipeline', () => {
  it('takes a request through its stages, each of which shows that it waits', async () => {
    const line = new Line(() => new Response('Hello'))
    const [client] = line.client()
    const depths = () => Object.values(reportOf(line.shared)).map((stage) => (stage as { depth: number }).depth)
    say(client, get())
    expect(depths()).toEqual([0, 1, 0, 0]) // what opens the connection
    line.read()
    expect(depths()).toEqual([0, 2, 0, 0])
    while (line.parser.takes());
    expect(depths()).toEqual([0, 0, 1, 0])
    line.answerer.takes()
    line.parser.takes()
    expect(depths()).toEqual([0, 0, 0, 1])
    line.write()
    expect(depths()).toEqual([0, 0, 0, 0])
    expect(hear(client)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nHello$/s)
  })

  it('keeps the answers of a connection in order', async () => {
    const line = new Line((request) => new Response(new URL(request.url).pathname))
    const [client] = line.client()
    say(client, get('/1') + get('/2') + get('/3'))
    await line.play()
    expect(hear(client).match(/\/\d$|\/\d(?=HTTP)/g)).toEqual(['/1', '/2', '/3'])
  })

  it('closes a descriptor when the stages that use it have left, and frees its row', async () => {
    const line = new Line(() => new Response('last', { headers: { connection: 'close' } }))
    const [client, fd] = line.client()
    say(client, get().replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'))
    await line.play()
    expect(hear(client)).toMatch(/last$/)
    expect(hear(client)).toBe('end')
    expect([line.reader.size, line.parser.connections.size, line.table.owner(fd)]).toEqual([0, 0, FREE])
  })

  it('closes a descriptor whose client has left', async () => {
    const line = new Line(() => new Response())
    const [client, fd] = line.client()
    shutdown(client, SHUT_WR)
    await line.play()
    expect([line.reader.size, line.parser.connections.size, line.table.owner(fd)]).toEqual([0, 0, FREE])
  })

  it('keeps for a slow reader what it does not take, and waits for it before it makes more', async () => {
    let given = 0
    const pull = (controller: ReadableStreamDefaultController): void => {
      if (given < 4_000_000) controller.enqueue(new Uint8Array(50_000))
      else controller.close()
      given += 50_000
    }
    const line = new Line(() => new Response(new ReadableStream({ pull })))
    const [client] = line.client()
    say(client, get())
    await line.play(40)
    const before = given
    await line.play(40)
    expect(given).toBe(before)
    expect(before).toBeLessThan(2_000_000)
    expect(line.writer.size).toBe(1)
    let text = ''
    for (let i = 0; i < 2000 && !text.endsWith('0\r\n\r\n'); i++) {
      text += hear(client)
      await line.play(1)
    }
    expect(text.length).toBeGreaterThan(4_000_000)
    expect(line.writer.size).toBe(0)
  })

  it('looks away from a client that sends far ahead, and reads on when it can be used', async () => {
    let answer: (response: Response) => void = () => {}
    const line = new Line(() => new Promise<Response>((resolve) => (answer = resolve)))
    const [client] = line.client()
    say(client, get())
    await line.play()
    const ahead = Buffer.from(get('/ahead').repeat(700))
    let sent = 0
    for (let i = 0; i < 200; i++) {
      sent += Math.max(0, send(client, ahead, 0, ahead.length))
      await line.play(1)
    }
    expect(sent).toBeLessThan(1_000_000) // the rest of what was offered found the socket full
    answer(new Response('first'))
    await line.play()
    expect(hear(client)).toMatch(/first$/)
  })

  it('takes nothing more in while the queue of requests is full', async () => {
    const line = new Line(() => new Response('served'), { waiting: 2 })
    const clients = Array.from({ length: 5 }, () => line.client()[0])
    for (const client of clients) say(client, get())
    line.read()
    while (line.parser.takes());
    expect(reportOf(line.shared)).toMatchObject({ parse: { depth: 2 }, handle: { depth: 2, full: 1 } })
    await line.play()
    for (const client of clients) expect(hear(client)).toMatch(/served$/)
  })
})

it('closes with lines what both stages have left, once', () => {
  for (const order of [
    [READ_LEFT, WRITE_LEFT],
    [WRITE_LEFT, READ_LEFT],
  ] as const) {
    const lines = Lines.create()
    const [fd, other] = socketpair()
    const closed: number[] = []
    lines.begin(fd, 1, 0)
    lines.leave(fd, order[0], (each) => closed.push(each))
    lines.leave(fd, order[0], (each) => closed.push(each))
    expect(closed).toEqual([])
    lines.leave(fd, order[1], (each) => closed.push(each))
    expect(closed).toEqual([fd])
    expect(recv(other, buffer, 0, 1)).toBe(0)
    close(other)
  }
})

describe('a scaler', () => {
  /** A stage whose threads are all busy, with a request that waits. */
  function busy(): PipelineShared {
    const line = new Line(() => new Response(), { most: 3 })
    for (let i = 0; i < 2; i++) say(line.client()[0], get())
    line.read()
    while (line.parser.takes());
    line.shared.workloads.handle.row(0, line.table).takes(0, 1)
    return line.shared
  }

  it('asks for a thread when requests wait, though all are busy, for a while', () => {
    const asked: number[] = []
    const scaler = new Scaler(busy(), 1, 3, (threads) => asked.push(threads))
    for (let now = 1000; now < 1090; now += 10) scaler.look(now)
    expect(asked).toEqual([])
    for (let now = 1100; now < 2000; now += 10) scaler.look(now)
    expect(asked).toEqual([1]) // the next when that one is there
  })

  it('does nothing, and need not be called, where there are bounds of one number', () => {
    const asked: number[] = []
    const scaler = new Scaler(busy(), 1, 1, (threads) => asked.push(threads))
    for (let now = 1000; now < 2000; now += 10) scaler.look(now)
    expect([scaler.timeout, asked]).toEqual([-1, []])
  })
})
