/** Requests that cross from the thread that has the connections to those that run handlers; one thread plays them all. */
import { setImmediate } from 'node:timers/promises'
import { ERRORS, LOST, REQUESTS, type Service } from '@cs/core/connection'
import { Answerer, Caller, Crossing } from '@cs/core/crossing'
import { Workload } from '@cs/core/loop'
import { dehydrate, hydrate } from '@cs/core/sync'
import { describe, expect, it, onTestFinished } from 'vitest'
import { get, type Handler, Peer, post, serviceOf } from '../connection/peer.js'

interface Settings {
  readonly answerers?: number
  readonly waiting?: number
}

/** A caller, answerers, and clients. */
class Game {
  readonly crossing: Crossing
  readonly service: Service & { readonly logged: string[] }
  readonly caller: Caller
  readonly answerers: Answerer[] = []
  readonly services: (Service & { readonly logged: string[] })[] = []

  constructor(handler: Handler, { answerers = 1, waiting = 16 }: Settings = {}) {
    this.crossing = Crossing.create({ answerers, processors: 1, waiting })
    this.service = serviceOf(() => new Response('not crossed'), { gather: 65_536 })
    this.caller = new Caller(this.crossing, 0, this.service)
    for (let i = 0; i < answerers; i++) this.replace(i, handler)
  }

  /** Puts an answerer in a place, after one that died perhaps. */
  replace(index: number, handler: Handler): void {
    const service = serviceOf(handler)
    const shared = hydrate(dehydrate({ crossing: this.crossing, workload: Workload.create(4) })) // as it travels
    const row = shared.workload.row(index, service.table)
    const answerer = new Answerer(shared.crossing, index, service, row)
    onTestFinished(() => answerer.close())
    this.services[index] = service
    this.answerers[index] = answerer
  }

  client(): Peer {
    return new Peer(this.service)
  }

  /** Both sides take what there is, again and again. */
  async play(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      this.caller.receive()
      for (const answerer of this.answerers) while (answerer.takes()) quiet = 0
      await setImmediate()
    }
    this.caller.receive()
  }

  /** Plays until something has come about. */
  async until(condition: () => boolean): Promise<void> {
    for (let round = 0; !condition(); round++) {
      expect(round).toBeLessThan(1000)
      await this.play()
    }
  }
}

describe('a request', () => {
  it('crosses, and its short response comes back, without a promise', () => {
    const game = new Game((request) => new Response(`${request.method} ${request.url}`))
    const client = game.client()
    client.say(get('/a?b=c'))
    expect(game.answerers[0]!.takes()).toBe(true)
    game.caller.receive()
    expect(client.bodies()).toEqual(['GET http://a/a?b=c'])
  })

  it('keeps its headers and its body, and the response its status, headers and text', async () => {
    const game = new Game(async (request) => {
      const body = await request.text()
      const headers = [...request.headers, ['set-cookie', 'a=1'], ['set-cookie', 'b=2']] as [string, string][]
      return new Response(`${body}!`, { status: 201, statusText: 'As you like', headers })
    })
    const client = game.client()
    client.say('POST / HTTP/1.1\r\nhost: test\r\nx-a: \xe9\r\ncontent-length: 5\r\n\r\ns\xc3\xbc\xc3\x9f')
    await game.play()
    const text = client.hear()
    expect(text).toMatch(/^HTTP\/1\.1 201 As you like\r\n/)
    expect(text).toContain('x-a: \xe9\r\n')
    expect(text).toContain('set-cookie: a=1\r\nset-cookie: b=2\r\n')
    expect(text.endsWith('\r\n\r\ns\xc3\xbc\xc3\x9f!')).toBe(true)
  })

  it('is answered in its turn, where several are pipelined', async () => {
    const game = new Game((request) => new Response(new URL(request.url).pathname))
    const client = game.client()
    client.say(get('/1') + get('/2') + get('/3'))
    await game.play()
    expect(client.bodies()).toEqual(['/1', '/2', '/3'])
  })

  it('crosses in memory of its own where its head is larger than a record', async () => {
    const game = new Game((request) => new Response(String(request.headers.get('x')?.length)))
    Object.assign(game.service.limits, { headerBytes: 1 << 20 })
    const client = game.client()
    client.say(`GET / HTTP/1.1\r\nhost: test\r\nx: ${'y'.repeat(150_000)}\r\n\r\n`)
    for (let i = 0; i < 5; i++) client.connection.advance()
    await game.play()
    expect(client.bodies()).toEqual(['150000'])
  })

  it('is counted by the thread that handles it', async () => {
    const game = new Game(() => new Response())
    game.client().say(get('/'))
    await game.play()
    expect([game.service.counters[REQUESTS], game.services[0]!.counters[REQUESTS]]).toEqual([0, 1])
  })

  it.each([
    ['throws', () => Promise.reject(new Error('thrown')), 'thrown'],
    ['gives no response', () => 'text' as never, 'not a Response'],
    ['gives an error', () => Response.error(), 'cannot be sent'],
  ])('is answered with 500 by the thread whose handler %s, which logs it', async (_, handler, logged) => {
    const game = new Game(handler)
    const client = game.client()
    client.say(get('/'))
    await game.play()
    expect(client.hear()).toMatch(/^HTTP\/1\.1 500 /)
    expect(game.services[0]!.logged).toEqual([expect.stringContaining(logged)])
    expect([game.service.counters[ERRORS], game.services[0]!.counters[ERRORS]]).toEqual([0, 1])
  })
})

describe('a large body', () => {
  it('crosses to the handler as it is read, and back as the client reads', async () => {
    const game = new Game((request) => new Response(request.body))
    const client = game.client()
    const body = Array.from({ length: 1_000_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('')
    client.say(`POST / HTTP/1.1\r\nhost: test\r\ncontent-length: ${body.length}\r\n\r\n`)
    for (let at = 0; at < body.length; at += 50_000) {
      client.say(body.slice(at, at + 50_000))
      await game.play()
      client.hear()
      client.connection.advance()
    }
    await game.until(() => {
      client.connection.advance()
      client.hear()
      return client.received.endsWith('0\r\n\r\n')
    })
    const chunks = client.received.slice(client.received.indexOf('\r\n\r\n') + 4).split('\r\n')
    expect(chunks.filter((_, i) => i % 2 === 1).join('')).toBe(body)
  })

  it('stays with the handler as far as nobody reads it', async () => {
    let given = 0
    const game = new Game(
      () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              controller.enqueue(new Uint8Array(10_000))
              given += 10_000
            },
          }),
        ),
    )
    game.client().say(get('/'))
    await game.play()
    const first = given
    await game.play()
    expect(first).toBeGreaterThan(0)
    expect(given).toBe(first)
  })

  it('is cancelled when the client has left', async () => {
    let cancelled = false
    const cancel = () => void (cancelled = true)
    const game = new Game(
      () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(10)), cancel })),
    )
    const client = game.client()
    client.say(get('/'))
    await game.play()
    client.connection.close()
    await game.until(() => cancelled && game.answerers[0]!.pending === 0)
    expect(game.caller.size).toBe(0)
  })

  it('ends the connection where its stream fails', async () => {
    const game = new Game(() => new Response(new ReadableStream({ pull: () => Promise.reject(new Error('broken')) })))
    const client = game.client()
    client.say(get('/'))
    await game.play()
    expect(client.hear()).not.toContain('0\r\n\r\n')
    expect(client.connection.machine.closing).toBe(true)
    expect(game.service.logged).toEqual(['a response stream failed: broken'])
  })

  it('fails for a handler that reads it when the client has left', async () => {
    const seen: unknown[] = []
    const game = new Game(async (request) => {
      await request.text().catch((error: Error) => seen.push(error.message))
      return new Response()
    })
    const client = game.client()
    client.say('POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\nexpect: 100-continue\r\n\r\n')
    await game.play()
    expect(client.hear()).toMatch(/^HTTP\/1\.1 100 /)
    client.connection.close()
    await game.play()
    expect(seen).toEqual([expect.stringContaining('connection')])
  })
})

describe('a client that leaves', () => {
  it.each(['before', 'after'])('fires the signal of its request, %s a thread has taken it', async (when) => {
    let isAborted = false
    const game = new Game(async ({ signal }) => {
      while (!signal.aborted) await setImmediate()
      isAborted = true
      return new Response()
    })
    const client = game.client()
    client.say(get('/'))
    if (when === 'after') expect(game.answerers[0]!.takes()).toBe(true)
    client.connection.close()
    await game.play()
    expect(isAborted).toBe(true)
  })
})

describe('a full queue', () => {
  it('keeps what finds no room in order, says so, and drops nothing', async () => {
    const game = new Game((request) => new Response(new URL(request.url).pathname), { waiting: 2 })
    const clients = Array.from({ length: 5 }, () => game.client())
    for (const [i, client] of clients.entries()) client.say(get(`/${i}`))
    expect(game.caller.isFull).toBe(true)
    expect(game.crossing.queue).toEqual({ depth: 2, capacity: 2, highWater: 2, full: 1 })
    await game.play()
    expect(game.caller.isFull).toBe(false)
    expect(clients.map((client) => client.bodies()[0])).toEqual(['/0', '/1', '/2', '/3', '/4'])
  })

  it('wakes the caller when there is room', () => {
    const game = new Game(() => new Response(), { waiting: 1 })
    for (let i = 0; i < 2; i++) game.client().say(get('/'))
    game.caller.lieDown(-1)
    expect(game.crossing.callerBell(0).sleeps).toBe(true)
    game.answerers[0]!.takes()
    expect(game.crossing.callerBell(0).sleeps).toBe(false)
  })
})

describe('a thread that dies', () => {
  it('ends the connections of what it had, and leaves the rest of the queue to others', async () => {
    const game = new Game(() => new Promise<Response>(() => {}))
    const [first, second] = [game.client(), game.client()]
    first.say(get('/'))
    expect(game.answerers[0]!.takes()).toBe(true)
    second.say(get('/'))
    game.crossing.forget(0)
    game.replace(0, () => new Response('served'))
    await game.play()
    expect([first.connection.closed, first.hear()]).toEqual([true, ''])
    expect(second.bodies()).toEqual(['served'])
    expect(game.service.counters[LOST]).toBe(1)
    expect(game.service.pending).toBe(0)
  })

  it('takes with it the request that it had in hand without having said so', () => {
    const game = new Game(() => {
      game.crossing.forget(0) // as the host does it, for a handler that calls process.exit
      return new Promise<Response>(() => {})
    })
    const client = game.client()
    client.say(get('/'))
    game.answerers[0]!.takes()
    game.caller.receive()
    expect(client.connection.closed).toBe(true)
  })
})

it('has an answerer leave that is dismissed, when what it has is done', async () => {
  let answer: (response: Response) => void = () => {}
  const game = new Game(() => new Promise<Response>((resolve) => (answer = resolve)), { answerers: 2 })
  game.client().say(get('/'))
  const [first, second] = game.answerers as [Answerer, Answerer]
  expect(first.takes()).toBe(true)
  game.crossing.dismiss()
  game.client().say(get('/'))
  expect([first.takes(), first.isDone]).toEqual([false, false])
  answer(new Response())
  await setImmediate()
  expect(first.isDone).toBe(true)
  expect([second.takes(), second.isDone]).toEqual([true, false])
})

it('has answerers end when it is closed and what was put is taken', async () => {
  const game = new Game(() => new Response())
  game.client().say(get('/'))
  game.crossing.close()
  expect(game.answerers[0]!.isDone).toBe(false)
  expect(game.answerers[0]!.takes()).toBe(true)
  expect(game.answerers[0]!.isDone).toBe(true)
})

it('reads post bodies that are gathered as part of the request', () => {
  const game = new Game(() => new Response('read'))
  const client = game.client()
  client.say(post('abc'))
  expect(game.answerers[0]!.takes()).toBe(true)
  game.caller.receive()
  expect(client.bodies()).toEqual(['read'])
})
