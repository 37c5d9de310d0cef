import { createHash, randomBytes } from 'node:crypto'
import { Connection, countsOf, LINGER_MS, QUIET_MS, Service, sumOf } from '@cs/core/connection'
import { DEFAULT_LIMITS, installFetchGlobals } from '@cs/core/http'
import { Attendant, Lot, openLot } from '@cs/core/loop'
import { close, recv, SHUT_WR, send, shutdown, socketpair } from '@cs/core/posix'
import { ConnectionTable, PARKED } from '@cs/core/socket'
import { BoundedQueue } from '@cs/core/sync'
import { describe, expect, it, onTestFinished } from 'vitest'

installFetchGlobals()

const timeouts = { head: 1000, body: 1000, write: 1000, idle: 2000 }

/** A thread pool played by one thread: an attendant, and workers that take turns. */
class Pool {
  readonly table: ConnectionTable = ConnectionTable.create()
  readonly queue: BoundedQueue = BoundedQueue.create(64)
  readonly services: Service[] = []
  readonly lots: Lot[] = []
  readonly attendant: Attendant
  /** Which worker served what, in order. */
  readonly served: string[] = []
  now: number
  #turn = 0

  constructor(answer: (path: string) => string | Uint8Array = (path) => path, workers = 2, now = 1_000_000) {
    this.now = now
    const epfd = openLot()
    onTestFinished(() => {
      this.table.closeAll()
      close(epfd)
    })
    for (let owner = 1; owner <= workers + 1; owner++) {
      const fetch = (request: Request) => {
        const path = new URL(request.url).pathname
        this.served.push(`${owner - 1}${path}`)
        return new Response(answer(path) as string)
      }
      const limits = { ...DEFAULT_LIMITS, body: 200_000 }
      const service = new Service({ app: { fetch }, table: this.table, owner, timeouts, limits, gather: 65_536 })
      service.tick = () => {
        service.now = this.now
      }
      service.tick()
      this.services.push(service)
      if (owner > 1) this.lots.push(new Lot(epfd, service))
    }
    this.attendant = new Attendant(epfd, this.services[0]!, this.queue)
  }

  get counts() {
    return sumOf(this.services.map((service) => countsOf(service.counters)))
  }

  /** A client whose connection has just been accepted. */
  client(): Client {
    const [ours, theirs] = socketpair({ nonblocking: true })
    onTestFinished(() => void close(ours))
    expect(this.attendant.accepted(theirs)).toBe(true)
    return new Client(ours, theirs)
  }

  /** Lets time pass. */
  pass(ms: number): void {
    this.now = (this.now + ms) | 0
  }

  /** One turn of the attendant, then of the workers, each taking up one connection after the other; tells how many. */
  async turn(draining = false): Promise<number> {
    const { attendant, queue } = this
    this.services[0]!.tick()
    const ready = attendant.demux.wait(0)
    for (let i = 0; i < ready; i++) attendant.ready(attendant.demux.fd(i))
    attendant.hand()
    attendant.sweep(draining)
    let taken = 0
    for (let fd = queue.tryTake(); typeof fd === 'number'; fd = queue.tryTake(), taken++) {
      const lot = this.lots[this.#turn++ % this.lots.length]!
      const connection = lot.enter(fd)
      if (connection !== undefined) lot.leave(connection, await connection.exchange())
    }
    return taken
  }
}

class Client {
  readonly fd: number
  /** The server's end. */
  readonly theirs: number
  received = ''
  ended = false
  readonly #buffer = Buffer.alloc(1 << 20)

  constructor(fd: number, theirs: number) {
    this.fd = fd
    this.theirs = theirs
  }

  say(text: string): void {
    expect(send(this.fd, Buffer.from(text, 'latin1'), 0, text.length)).toBe(text.length)
  }

  hear(most = Number.POSITIVE_INFINITY): string {
    for (let heard = 0; heard < most; ) {
      const n = recv(this.fd, this.#buffer, 0, Math.min(this.#buffer.length, most - heard))
      if (n === 0) this.ended = true
      if (n <= 0) break
      heard += n
      this.received += this.#buffer.latin1Slice(0, n)
    }
    return this.received
  }
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

describe('an idle connection', () => {
  it('is parked and served by whichever thread takes it up', async () => {
    const pool = new Pool()
    const client = pool.client()
    for (let i = 0; i < 4; i++) {
      client.say(get(`/${i}`))
      expect(await pool.turn()).toBe(1)
      expect(pool.table.owner(client.theirs)).toBe(PARKED)
      expect(await pool.turn()).toBe(0)
    }
    expect(pool.served).toEqual(['1/0', '2/1', '1/2', '2/3'])
    expect(pool.counts).toMatchObject({ accepted: 1, closed: 0, requests: 4, errors: 0 })
  })

  it('that has said nothing yet is parked as well', async () => {
    const pool = new Pool()
    const client = pool.client()
    await pool.turn()
    expect(pool.table.owner(client.theirs)).toBe(PARKED)
    client.say(get('/late'))
    await pool.turn()
    expect(client.hear()).toContain('/late')
  })

  it('is closed when its client leaves', async () => {
    const pool = new Pool()
    const client = pool.client()
    await pool.turn()
    shutdown(client.fd, SHUT_WR)
    await pool.turn()
    client.hear()
    expect(client.ended).toBe(true)
    expect(pool.counts).toMatchObject({ accepted: 1, closed: 1 })
    expect(pool.table.size).toBe(0)
  })
})

describe('an incomplete request', () => {
  it('holds no thread and goes on where it stopped on the next', async () => {
    const pool = new Pool()
    const client = pool.client()
    const text = get('/in-pieces')
    for (let at = 0; at < text.length; at += 7) {
      client.say(text.slice(at, at + 7))
      expect(await pool.turn()).toBe(1)
    }
    expect(client.hear()).toContain('/in-pieces')
    expect(pool.served).toHaveLength(1)
  })

  it('with a body in pieces reaches the app once', async () => {
    const pool = new Pool()
    const client = pool.client()
    client.say('POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n')
    for (let i = 0; i < 10; i++) {
      expect(pool.served).toEqual([])
      client.say('x'.repeat(3000))
      await pool.turn()
    }
    expect(pool.served).toHaveLength(1)
    expect(client.hear()).toContain('200 OK')
  })

  it('holds no thread with a body that nobody reads, and leaves none of it to be taken for a request', async () => {
    const pool = new Pool()
    const client = pool.client()
    const hidden = get('/hidden')
    client.say(
      `POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: ${100_000 + hidden.length}\r\n\r\n${'x'.repeat(100_000)}${hidden}`,
    )
    for (let i = 0; i < 5; i++) await pool.turn()
    expect(pool.served.map((each) => each.slice(1))).toEqual(['/seen'])
    const heard = client.hear()
    expect(heard.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200'])
    expect(heard).toContain('connection: close')
  })
})

describe('an unsent answer', () => {
  it('is sent on by other threads, whole and in order, and the next request is served', async () => {
    const body = randomBytes(3_000_000)
    const pool = new Pool((path) => (path === '/large' ? body : path))
    const client = pool.client()
    client.say(get('/large') + get('/next'))
    let turns = 0
    while (!client.hear(150_000).endsWith('/next')) {
      await pool.turn()
      turns++
    }
    expect(turns).toBeGreaterThan(3)
    const from = client.received.indexOf('\r\n\r\n') + 4
    const got = Buffer.from(client.received.slice(from, from + body.length), 'latin1')
    expect(createHash('sha1').update(got).digest('hex')).toBe(createHash('sha1').update(body).digest('hex'))
    expect(pool.counts.bytesOut).toBe(client.received.length)
  })

  it('that nobody takes is cut when its time is up, and its time starts anew with each byte taken', async () => {
    const pool = new Pool(() => 'x'.repeat(3_000_000))
    const client = pool.client()
    client.say(get('/'))
    await pool.turn()
    for (let i = 0; i < 3; i++) {
      pool.pass(timeouts.write - 1)
      client.hear(100_000)
      await pool.turn()
    }
    expect(pool.counts.closed).toBe(0)
    for (let i = 0; i < 2; i++) {
      pool.pass(timeouts.write + 500) // the first time there may be room for some more bytes
      await pool.turn()
    }
    expect(pool.counts.closed).toBe(1)
    expect(pool.table.size).toBe(0)
  })
})

describe('what has been parked too long', () => {
  it.each([1_000_000, -5, 2 ** 31 - 100, -(2 ** 31)])('is ended wherever the clock stands: %d', async (now) => {
    const pool = new Pool(undefined, 1, now)
    const client = pool.client()
    client.say(get('/'))
    await pool.turn()
    pool.pass(timeouts.idle - 1)
    await pool.turn()
    expect(pool.counts.closed).toBe(0)
    pool.pass(501)
    await pool.turn()
    client.hear()
    expect([pool.counts.closed, client.ended]).toEqual([1, true])
  })

  it('is told so with 408 where a request had begun', async () => {
    const pool = new Pool()
    const client = pool.client()
    client.say('GET / HT')
    await pool.turn()
    pool.pass(timeouts.head + 500)
    await pool.turn()
    expect(client.hear()).toMatch(/^HTTP\/1\.1 408 /)
  })

  it('is served after all if its bytes come at the same moment', async () => {
    const pool = new Pool()
    const client = pool.client()
    client.say('GET /just')
    await pool.turn()
    client.say(' HTTP/1.1\r\nHost: a\r\n\r\n')
    pool.pass(timeouts.head - 1)
    expect(await pool.turn()).toBe(1)
    expect(client.hear()).toContain('/just')
  })

  it('lingers after a refusal without a thread, and is closed in the end', async () => {
    const pool = new Pool()
    const client = pool.client()
    client.say(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n${'x'.repeat(1000)}`)
    await pool.turn()
    client.say('x'.repeat(1000))
    expect(await pool.turn()).toBe(1)
    expect(client.hear()).toMatch(/^HTTP\/1\.1 413 /)
    expect(pool.counts.closed).toBe(0)
    pool.pass(LINGER_MS + 500)
    await pool.turn()
    expect(pool.counts.closed).toBe(1)
  })
})

describe('a drain', () => {
  it('ends what is idle for a moment, and keeps what is half there', async () => {
    const pool = new Pool()
    const [idle, half] = [pool.client(), pool.client()]
    idle.say(get('/'))
    half.say('GET /half HT')
    await pool.turn()
    await pool.turn(true)
    expect(pool.counts.closed).toBe(0)
    pool.pass(QUIET_MS)
    await pool.turn(true)
    idle.hear()
    expect([idle.ended, pool.counts.closed]).toEqual([true, 1])
    half.say('TP/1.1\r\nHost: a\r\n\r\n')
    await pool.turn(true)
    expect(half.hear()).toContain('/half')
    pool.pass(QUIET_MS)
    await pool.turn(true)
    expect(pool.counts).toMatchObject({ accepted: 2, closed: 2 })
    expect(pool.attendant.sweep(true)).toBe(false)
  })
})

describe('a worker', () => {
  it('leaves alone what another has claimed', async () => {
    const pool = new Pool()
    const client = pool.client()
    pool.attendant.hand()
    expect(pool.lots[0]!.enter(client.theirs)).toBeInstanceOf(Connection)
    expect(pool.lots[1]!.enter(client.theirs)).toBe(undefined)
  })

  it('takes a connection up that is reported though nothing came', async () => {
    const pool = new Pool()
    const client = pool.client()
    await pool.turn()
    pool.attendant.ready(client.theirs) // an event of whoever had the number before
    pool.attendant.ready(client.theirs)
    expect(await pool.turn()).toBe(1)
    client.say(get('/'))
    expect(await pool.turn()).toBe(1)
    expect(client.hear()).toContain('200 OK')
  })

  it('survives that its connection is ended between parking and arming', async () => {
    const pool = new Pool()
    const client = pool.client()
    client.say(get('/1'))
    await pool.turn()
    client.say(get('/2'))
    const ready = pool.attendant.demux.wait(0)
    for (let i = 0; i < ready; i++) pool.attendant.ready(pool.attendant.demux.fd(i))
    pool.attendant.hand()
    const fd = pool.queue.take() as number
    const connection = pool.lots[0]!.enter(fd)!
    const waiting = await connection.exchange()
    const { table } = pool
    const park = table.park.bind(table)
    table.park = (...args) => {
      park(...args)
      pool.pass(QUIET_MS)
      pool.services[0]!.tick()
      pool.attendant.sweep(true) // the attendant is quicker
    }
    pool.lots[0]!.leave(connection, waiting)
    expect([table.size, pool.counts.closed]).toEqual([0, 1])
  })
})
