import { createHash, randomBytes } from 'node:crypto'
import {
  APP,
  CLOSED,
  Connection,
  ConnectionSet,
  countsOf,
  DEFAULT_TIMEOUTS,
  LINGER_MS,
  QUIET_MS,
  READABLE,
  WRITABLE,
} from '@cs/core/connection'
import { DEFAULT_LIMITS } from '@cs/core/http'
import { close, EAGAIN, recv, send, socketpair } from '@cs/core/posix'
import { describe, expect, it, onTestFinished } from 'vitest'
import { get, later, Peer, post, serviceOf, settled, until } from './peer.js'

const timeouts = { head: 100, body: 200, write: 300, idle: 400 }
const hashOf = (bytes: Uint8Array | string) => createHash('sha1').update(bytes).digest('hex')
const pathOf = (request: Request) => new URL(request.url).pathname
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

describe('pipelining', () => {
  it('answers in the order of the requests, sync and async handlers mixed', async () => {
    const slow = new Map<string, ReturnType<typeof later<Response>>>()
    const peer = new Peer(
      serviceOf((request) => {
        const path = pathOf(request)
        if (!path.startsWith('/slow')) return new Response(path)
        slow.set(path, later())
        return slow.get(path)!.promise
      }),
    )
    peer.say(get('/1') + get('/slow2') + get('/3') + get('/slow4') + get('/5'))
    expect(peer.bodies()).toEqual(['/1'])
    expect([...slow.keys()]).toEqual(['/slow2']) // one request of a connection at a time
    slow.get('/slow2')!.resolve(new Response('/slow2'))
    await until(() => slow.has('/slow4'))
    expect(peer.bodies()).toEqual(['/1', '/slow2', '/3'])
    slow.get('/slow4')!.resolve(new Response('/slow4'))
    await until(() => peer.bodies().length === 5)
    expect(peer.bodies()).toEqual(['/1', '/slow2', '/3', '/slow4', '/5'])
    expect(peer.connection.waiting).toBe(READABLE)
  })

  it('pauses while a client takes no answers, and goes on where it stopped', async () => {
    const count = 2000
    let asked = 0
    const peer = new Peer(serviceOf((request) => new Response(`${pathOf(request)} ${'x'.repeat(500)} ${asked++}`)))
    let requests = ''
    for (let i = 0; i < count; i++) requests += get(`/${i}`)
    const all = Buffer.from(requests)
    let sent = 0
    let highest = 0
    while (peer.received.length === 0 || asked < count || peer.connection.waiting === WRITABLE) {
      const n = sent < all.length ? send(peer.fd, all, sent, all.length - sent) : 0
      if (n > 0) sent += n
      const before = asked
      peer.connection.advance()
      highest = Math.max(highest, asked - before)
      if (n <= 0) peer.hear(50_000)
    }
    expect(highest).toBeLessThan(count)
    expect(peer.bodies().map((body) => Number(body.split(' ')[2]))).toEqual(Array.from({ length: count }, (_, i) => i))
  })

  it('leaves one connection of a thread alone while another is answered', async () => {
    let upload: ReadableStreamDefaultReader<Uint8Array> | undefined
    const service = serviceOf((request) => {
      if (request.method === 'POST') {
        upload = request.body!.getReader()
        return new Promise<Response>(() => {})
      }
      if (pathOf(request) === '/read') upload!.read().catch(() => {})
      return new Response(pathOf(request))
    })
    const [uploader, reader] = [new Peer(service), new Peer(service)]
    uploader.say('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    await settled()
    reader.say(get('/secret') + get('/read'))
    await settled()
    expect(uploader.hear()).toBe('')
    expect(reader.bodies()).toEqual(['/secret', '/read'])
  })
})

describe('a large body', () => {
  it.each([1 << 20, 5_000_000])('of %d bytes reaches a slow reader whole and in order', (size) => {
    const body = randomBytes(size)
    const service = serviceOf(() => new Response(body))
    const peer = new Peer(service)
    expect(peer.say(get())).toBe(WRITABLE)
    let partial = 0
    while (peer.connection.waiting === WRITABLE) {
      peer.hear(100_000)
      peer.connection.advance()
      partial++
    }
    peer.hear()
    expect(partial).toBeGreaterThan(2)
    expect(hashOf(Buffer.from(peer.received.slice(peer.received.indexOf('\r\n\r\n') + 4), 'latin1'))).toBe(hashOf(body))
    expect(countsOf(service.counters).bytesOut).toBe(peer.received.length)
  })

  it('is followed by the answer to the next request', () => {
    const peer = new Peer(
      serviceOf((request) => new Response(pathOf(request) === '/large' ? 'x'.repeat(2e6) : 'small')),
    )
    peer.say(get('/large') + get('/small'))
    while (peer.bodies().length < 2 || peer.connection.waiting !== READABLE) peer.connection.advance()
    expect(peer.bodies().map((body) => body.length)).toEqual([2e6, 5])
  })

  it('of a request arrives whole, however it is cut', async () => {
    const body = latin1(randomBytes(300_000))
    let seen = ''
    const peer = new Peer(
      serviceOf(async (request) => {
        seen = hashOf(Buffer.from(await request.arrayBuffer()))
        return new Response('ok')
      }),
    )
    const all = post(body)
    for (let at = 0; at < all.length; at += 10_007) {
      peer.say(all.slice(at, at + 10_007))
      await settled()
    }
    await until(() => peer.bodies().length === 1)
    expect(seen).toBe(hashOf(Buffer.from(body, 'latin1')))
  })
})

describe('a streamed response', () => {
  it('is not pulled while the socket is full', async () => {
    let pulled = 0
    const total = 200
    const chunk = new Uint8Array(64 * 1024).fill(120)
    const peer = new Peer(
      serviceOf(
        () =>
          new Response(
            new ReadableStream(
              { pull: (controller) => (pulled++ < total ? controller.enqueue(chunk) : controller.close()) },
              { highWaterMark: 0 },
            ),
          ),
      ),
    )
    peer.say(get())
    await until(() => peer.connection.waiting === WRITABLE)
    await settled()
    const stalledAt = pulled
    await settled()
    expect(pulled).toBe(stalledAt)
    expect(stalledAt).toBeLessThan(total / 2)
    while (!peer.received.endsWith('\r\n0\r\n\r\n')) {
      peer.hear()
      if (peer.connection.waiting === WRITABLE) peer.connection.advance()
      await settled()
    }
    expect(peer.received.split('x').length - 1).toBe(total * chunk.length)
  })

  it('that fails ends the connection so that the client can tell', async () => {
    const service = serviceOf(
      () =>
        new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(new Uint8Array([120]))
            },
            pull: () => Promise.reject(new Error('no more')),
          }),
        ),
    )
    const peer = new Peer(service)
    peer.say(get())
    await until(() => {
      peer.hear()
      return peer.ended
    })
    expect(peer.received).toContain('1\r\nx\r\n')
    expect(peer.received).not.toContain('0\r\n\r\n')
    expect(service.logged).toEqual(['a response stream failed: no more'])
    expect(service.pending).toBe(0)
  })

  it('is cancelled where the client leaves', async () => {
    const cancelled = later<unknown>()
    const peer = new Peer(
      serviceOf(
        () =>
          new Response(
            new ReadableStream({
              pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
              cancel: (reason) => cancelled.resolve(reason),
            }),
          ),
      ),
    )
    peer.say(get())
    await until(() => peer.connection.waiting === WRITABLE)
    peer.connection.close()
    expect(await cancelled.promise).toMatchObject({ name: 'AbortError' })
    await until(() => peer.service.pending === 0)
  })
})

describe('a handler', () => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('thrown')
      },
      'the handler failed: thrown',
    ],
    ['rejects', () => Promise.reject(new Error('rejected')), 'the handler failed: rejected'],
    ['gives no Response', () => 'text' as unknown as Response, "the handler failed: it gave 'text', not a Response"],
    [
      'gives undefined',
      () => undefined as unknown as Response,
      'the handler failed: it gave undefined, not a Response',
    ],
    [
      'resolves to null',
      () => Promise.resolve(null as unknown as Response),
      'the handler failed: it gave null, not a Response',
    ],
  ] as [string, () => Response | Promise<Response>, string][])(
    'that %s costs a 500, and the next request is served',
    async (_, fetch, line) => {
      const service = serviceOf((request) => (pathOf(request) === '/bad' ? fetch() : new Response('good')))
      const peer = new Peer(service)
      peer.say(get('/bad') + get('/good'))
      await until(() => peer.bodies().length === 2)
      expect(peer.received).toMatch(/^HTTP\/1\.1 500 /)
      expect(peer.bodies()[1]).toBe('good')
      expect(service.logged).toEqual([line])
      expect(countsOf(service.counters)).toMatchObject({ requests: 2, errors: 1 })
    },
  )

  it('that gives a Response twice gets a 500 for the second', () => {
    const once = new Response('once')
    const service = serviceOf(() => once)
    const peer = new Peer(service)
    peer.say(get() + get())
    expect(peer.bodies()[0]).toBe('once')
    expect(peer.received).toContain('HTTP/1.1 500 ')
    expect(service.logged).toHaveLength(1)
  })

  it('that answers after its connection was closed harms nobody', async () => {
    const answer = later<Response>()
    const service = serviceOf(() => answer.promise)
    const peer = new Peer(service)
    expect(peer.say(get())).toBe(READABLE) // it reads ahead
    peer.connection.close()
    const next = new Peer(service)
    expect([next.fd, next.connection.fd]).toContain(peer.connection.fd) // the number is another's now
    answer.resolve(new Response('late'))
    await until(() => service.pending === 0)
    await settled()
    expect([next.hear(), next.connection.advance()]).toEqual(['', READABLE])
    expect(countsOf(service.counters)).toMatchObject({ accepted: 2, closed: 1, bytesIn: get().length, bytesOut: 0 })
  })

  it('learns by its signal that the client left', async () => {
    let aborted = false
    const peer = new Peer(
      serviceOf(({ signal }) => {
        signal.addEventListener('abort', () => {
          aborted = true
        })
        return new Promise<Response>(() => {})
      }),
    )
    peer.say(get())
    peer.finish()
    expect(aborted).toBe(true)
  })

  it('of a client that has sent its last byte is still answered', async () => {
    const answer = later<Response>()
    const peer = new Peer(serviceOf(() => answer.promise))
    peer.say(get())
    expect(peer.finish()).toBe(APP)
    answer.resolve(new Response('still'))
    await until(() => peer.connection.closed)
    expect(peer.bodies()).toEqual(['still'])
  })
})

describe('the end', () => {
  it('lets a client that still sends read the whole 413', () => {
    const peer = new Peer(serviceOf(() => new Response('never'), { limits: { ...DEFAULT_LIMITS, body: 1000 } }))
    expect(peer.say(post('x'.repeat(500), 10_000_000))).toBe(READABLE)
    for (let i = 0; i < 20; i++) peer.say('x'.repeat(50_000))
    peer.hear()
    expect(peer.received).toMatch(/^HTTP\/1\.1 413 [\s\S]*413 [^\n]*\n$/)
    expect(peer.ended).toBe(true) // nothing more will come, though the descriptor lives
    expect(peer.connection.closed).toBe(false)
    peer.service.now += LINGER_MS
    expect(peer.connection.expired).toBe(true)
    peer.connection.expire()
    expect(peer.connection.closed).toBe(true)
  })

  it('comes at once where the client closes between requests', () => {
    const peer = new Peer(serviceOf(() => new Response('ok')))
    peer.say(get())
    expect(peer.finish()).toBe(CLOSED)
    expect(countsOf(peer.service.counters)).toMatchObject({ accepted: 1, closed: 1, requests: 1 })
    expect(peer.service.table.owner(peer.connection.fd)).toBe(0)
  })
})

describe('expiry', () => {
  const expiring = (fetch = () => new Response('ok')) => new Peer(serviceOf(fetch, { timeouts }))

  it.each([
    ['a second', DEFAULT_TIMEOUTS, 1000],
    ['as long as the shortest timeout', { ...DEFAULT_TIMEOUTS, write: 300 }, 300],
    ['a second, since 0 is none', { head: 0, body: 0, write: 0, idle: 0 }, 1000],
    ['no less than 20 ms', { ...DEFAULT_TIMEOUTS, head: 1 }, 20],
  ])('is looked for by a thread that blocks every so often: %s', (_, each, tickMs) => {
    const service = serviceOf(() => new Response('ok'), { timeouts: each, blocking: true })
    expect(service.tickMs).toBe(tickMs)
    const [ours, theirs] = socketpair()
    const connection = Connection.accept(service, theirs)
    expect(recv(theirs, Buffer.alloc(1), 0, 1)).toBe(-EAGAIN) // though the socket blocks, it returns
    connection.close()
    close(ours)
  })

  it('closes a client that sends nothing, without a word', () => {
    const peer = expiring()
    peer.service.now += 99
    expect(peer.connection.expired).toBe(false)
    peer.service.now += 1
    expect(peer.connection.expired).toBe(true)
    peer.connection.expire()
    expect([peer.hear(), peer.ended]).toEqual(['', true])
  })

  it('counts a head from its first byte, whatever trickles in, and answers 408', () => {
    const peer = expiring()
    peer.service.now += 90
    peer.say('GET / HTTP/1.1\r\n')
    for (let i = 0; i < 9; i++) {
      peer.service.now += 11
      expect(peer.connection.expired).toBe(false)
      peer.say('a: b\r\n')
    }
    peer.service.now += 1
    expect(peer.connection.expired).toBe(true)
    peer.connection.expire()
    expect(peer.hear()).toMatch(/^HTTP\/1\.1 408 /)
    expect(peer.connection.closed).toBe(true)
  })

  it('counts a body from its last byte, and answers 408', async () => {
    const failed = later<Error>()
    const peer = new Peer(
      serviceOf(
        (request) =>
          request.text().then(
            (body) => new Response(body),
            (error) => {
              failed.resolve(error)
              throw error
            },
          ),
        { timeouts },
      ),
    )
    peer.say(post('x', 10))
    for (let i = 0; i < 3; i++) {
      peer.service.now += 199
      expect(peer.connection.expired).toBe(false)
      peer.say('x')
    }
    peer.service.now += 200
    peer.connection.expire()
    expect(peer.hear()).toMatch(/^HTTP\/1\.1 408 /)
    expect(await failed.promise).toBeInstanceOf(Error)
  })

  it('counts between two requests from the end of the answer', () => {
    const peer = expiring()
    peer.say(get())
    peer.service.now += 399
    expect(peer.connection.expired).toBe(false)
    peer.service.now += 1
    expect(peer.connection.expired).toBe(true)
    peer.connection.expire()
    expect([peer.bodies(), peer.ended]).toEqual([['ok'], true])
  })

  it('never counts the time of a handler that awaits', async () => {
    const answer = later<Response>()
    const peer = expiring(() => answer.promise as never)
    peer.say(get())
    peer.service.now += 1e6
    expect([peer.connection.expired, peer.connection.patience]).toEqual([false, Number.POSITIVE_INFINITY])
    answer.resolve(new Response('ok'))
    await until(() => peer.bodies().length === 1)
    expect(peer.connection.expired).toBe(false)
  })

  it('never counts the time of a handler that holds the thread', () => {
    const service = serviceOf(
      () => {
        passed = 1e6
        return new Response('ok')
      },
      { timeouts },
    )
    let passed = 0
    const start = service.now
    service.tick = () => {
      service.now = (start + passed) | 0
    }
    const peer = new Peer(service)
    peer.say(get())
    service.tick() // the next turn of the loop
    expect(peer.connection.patience).toBe(timeouts.idle)
  })

  it('counts a client that takes no byte of its answer, from the last byte it took', () => {
    const peer = expiring(() => new Response('x'.repeat(3e6)))
    peer.say(get())
    peer.service.now += 299
    peer.hear(200_000)
    peer.connection.advance()
    peer.service.now += 299
    expect(peer.connection.expired).toBe(false)
    peer.service.now += 1
    expect(peer.connection.expired).toBe(true)
    peer.connection.expire()
    expect(peer.connection.closed).toBe(true)
  })

  it.each([
    ['small', 100],
    ['large', 100_000],
  ])('does not blame the client for the silence of a stream before a %s chunk', async (_, size) => {
    let source: ReadableStreamDefaultController<Uint8Array> | undefined
    const peer = expiring(() => new Response(new ReadableStream({ start: (controller) => void (source = controller) })))
    peer.say(get())
    await settled()
    peer.service.now += 10_000
    while (send(peer.connection.fd, Buffer.alloc(1000), 0, 1000) !== -EAGAIN); // the socket is full
    source!.enqueue(new Uint8Array(size))
    await until(() => peer.connection.waiting === WRITABLE)
    expect(peer.connection.expired).toBe(false)
    peer.service.now += 300
    expect(peer.connection.expired).toBe(true)
  })

  it('counts across the wrap of the clock', () => {
    const peer = expiring()
    peer.service.now = 2 ** 31 - 50
    peer.say(get())
    peer.service.now = (2 ** 31 + 349) | 0
    expect(peer.connection.expired).toBe(false)
    peer.service.now = (2 ** 31 + 350) | 0
    expect(peer.connection.expired).toBe(true)
  })
})

describe('drain', () => {
  it('closes what has been idle for a moment, and not a moment before', () => {
    const peer = new Peer(serviceOf(() => new Response('ok')))
    peer.say(get())
    peer.connection.drain()
    expect(peer.connection.closed).toBe(false)
    peer.service.now += QUIET_MS
    peer.connection.drain()
    expect(peer.connection.closed).toBe(true)
  })

  it('lets the request that is at work finish, with Connection: close', async () => {
    const answer = later<Response>()
    const peer = new Peer(serviceOf(() => answer.promise))
    peer.say(get())
    peer.connection.drain()
    expect(peer.connection.closed).toBe(false)
    answer.resolve(new Response('ok'))
    await until(() => peer.connection.closed)
    peer.hear()
    expect(peer.received).toMatch(/connection: close[\s\S]*ok$/)
  })

  it('sends what is unsent before it closes', () => {
    const peer = new Peer(serviceOf(() => new Response('x'.repeat(1e6))))
    expect(peer.say(get())).toBe(WRITABLE)
    peer.connection.drain()
    while (!peer.connection.closed) {
      peer.hear()
      peer.connection.advance()
    }
    expect(peer.bodies()[0]).toHaveLength(1e6)
  })

  it('lets a request that is half there arrive', () => {
    const peer = new Peer(serviceOf(() => new Response('ok')))
    peer.say('GET / HT')
    peer.service.now += 1000
    peer.connection.drain()
    expect(peer.say('TP/1.1\r\nHost: a\r\n\r\n')).toBe(CLOSED)
    expect(peer.bodies()).toEqual(['ok'])
  })
})

describe('release and resume', () => {
  /** Moves the connection to another service, as to another thread. */
  const move = (
    peer: Peer,
    service = serviceOf((request) => new Response(`moved ${pathOf(request)}`), { timeouts }),
  ) => {
    const { fd } = peer.connection
    const remains = peer.connection.release()
    expect(peer.connection.closed).toBe(true)
    const moved = Connection.resume(service, fd, remains)
    onTestFinished(() => moved.close())
    return { moved, service, remains }
  }

  it('keeps an idle connection, and its time', () => {
    const peer = new Peer(serviceOf(() => new Response('ok'), { timeouts }))
    peer.say(get('/1'))
    const { moved, service, remains } = move(peer)
    expect(remains).toMatchObject({ limit: timeouts.idle, unparsed: undefined, unsent: undefined })
    service.now = (remains.since + 399) | 0
    expect(moved.expired).toBe(false)
    service.now = (remains.since + 400) | 0
    expect(moved.expired).toBe(true)
    send(peer.fd, Buffer.from(get('/2')), 0, get('/2').length)
    moved.advance()
    expect(peer.bodies()).toEqual(['ok', 'moved /2'])
  })

  it('keeps a connection that has sent nothing fresh', () => {
    const peer = new Peer(serviceOf(() => new Response('ok'), { timeouts }))
    const { moved, remains } = move(peer)
    expect(remains.limit).toBe(timeouts.head)
    expect(moved.fresh).toBe(true)
  })

  it('keeps a head that is not whole, wherever it is cut, and counts from its first byte', () => {
    const text = get('/cut', 'x: y\r\n')
    for (let cut = 1; cut < text.length; cut++) {
      const peer = new Peer(serviceOf(() => new Response('ok'), { timeouts }))
      peer.say(text.slice(0, cut))
      const { moved, remains } = move(peer)
      expect(remains.limit).toBe(timeouts.head)
      send(peer.fd, Buffer.from(text.slice(cut)), 0, text.length - cut)
      moved.advance()
      expect(peer.bodies()).toEqual(['moved /cut'])
    }
  })

  it('keeps what is unsent, and answers what came behind it', () => {
    const peer = new Peer(serviceOf(() => new Response('x'.repeat(1e6)), { timeouts }))
    peer.say(get('/large') + get('/next'))
    const { moved, remains } = move(peer)
    expect(remains.limit).toBe(timeouts.write)
    while (peer.bodies().length < 2) moved.advance()
    expect(peer.bodies().map((body) => body.length)).toEqual([1e6, 'moved /next'.length])
  })

  it('keeps the end of a connection whose last answer is unsent', () => {
    const peer = new Peer(serviceOf(() => new Response('x'.repeat(1e6))))
    peer.say(get('/', 'Connection: close\r\n'))
    const { moved } = move(peer)
    while (!moved.closed) {
      peer.hear()
      moved.advance()
    }
    expect(peer.bodies()[0]).toHaveLength(1e6)
  })

  it('keeps a connection that lingers', () => {
    const peer = new Peer(serviceOf(() => new Response('never'), { limits: { ...DEFAULT_LIMITS, body: 10 } }))
    peer.say(post('x'.repeat(100), 100_000))
    const { moved, service, remains } = move(peer)
    expect(moved.waiting).toBe(READABLE)
    send(peer.fd, Buffer.alloc(1000), 0, 1000)
    expect(moved.advance()).toBe(READABLE)
    service.now = (remains.since + LINGER_MS) | 0
    expect(moved.expired).toBe(true)
    peer.hear()
    expect(peer.received).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('comes only when the rest of a body that nobody reads is gone, which is never taken for a request', async () => {
    const paths: string[] = []
    const service = serviceOf(
      (request) => {
        paths.push(pathOf(request))
        return new Response('ok')
      },
      { readsAhead: false },
    )
    const peer = new Peer(service)
    const hidden = get('/hidden')
    const all = post('x'.repeat(100_000) + hidden) // more than one recv(2) takes
    send(peer.fd, Buffer.from(all), 0, all.length)
    expect(await peer.connection.exchange()).toBe(READABLE)
    const { moved } = move(peer, service)
    moved.advance()
    expect(paths).toEqual(['/'])
    expect(peer.bodies()).toEqual(['ok'])
  })
})

describe('exchange', () => {
  it.each([false, true])('serves until the client has nothing more to say (blocking: %s)', async (blocking) => {
    const service = serviceOf(
      async (request) => new Response(pathOf(request) + (request.body ? await request.text() : '')),
      { blocking, readsAhead: false },
    )
    const [ours, theirs] = socketpair({ nonblocking: !blocking })
    const connection = Connection.accept(service, theirs)
    onTestFinished(() => {
      close(ours)
      connection.close()
    })
    const all = Buffer.from(get('/1') + post('body', 4, '/2') + get('/3'))
    send(ours, all, 0, all.length)
    expect(await connection.exchange()).toBe(READABLE)
    const buffer = Buffer.alloc(10_000)
    const n = recv(ours, buffer, 0, buffer.length)
    expect(buffer.latin1Slice(0, n)).toMatch(/\/1H[\s\S]*\/2bodyH[\s\S]*\/3$/)
    expect(connection.idle).toBe(true)
  })
})

describe('the counters', () => {
  it('tell what was accepted, closed, asked, refused, and moved', () => {
    const service = serviceOf(() => new Response('ok'))
    const good = new Peer(service)
    const bad = new Peer(service)
    good.say(get())
    bad.say('nonsense\r\n\r\n')
    good.hear()
    bad.hear()
    good.connection.close()
    good.connection.close()
    expect(countsOf(service.counters)).toEqual({
      accepted: 2,
      closed: bad.connection.closed ? 2 : 1,
      requests: 1,
      errors: 1,
      bytesIn: get().length + 'nonsense\r\n\r\n'.length,
      bytesOut: good.received.length + bad.received.length,
      pauses: 0,
      lost: 0,
    })
  })
})

describe('a set of connections', () => {
  const setOf = (now: number) => {
    const service = serviceOf(() => new Response('ok'), { timeouts })
    service.now = now
    const closed: number[] = []
    const set = new ConnectionSet(service, (fd) => void closed.push(fd))
    const [ours, theirs] = socketpair({ nonblocking: true })
    const connection = set.open(theirs)
    onTestFinished(() => {
      close(ours)
      connection.close()
    })
    return { service, set, connection, closed }
  }

  it.each([1, -1, 2 ** 31 - 20, -(2 ** 31)])('reaps what has expired, wherever the clock stands: %d', (now) => {
    const { service, set, connection } = setOf(now)
    expect(set.timeout).toBeLessThanOrEqual(1000)
    for (let turn = 0; turn < 20 && !connection.closed; turn++) {
      service.now = (service.now + set.timeout) | 0
      set.sweep()
    }
    expect([connection.closed, set.size, set.timeout]).toEqual([true, 0, -1])
  })

  it('forgets a connection once, and not the next one with its number', () => {
    const { set, connection, closed } = setOf(0)
    connection.close()
    const next = set.open(connection.fd)
    set.forget(connection)
    expect([set.at(connection.fd), set.size, closed]).toEqual([next, 1, []])
    set.forget(next)
    set.forget(next)
    expect([set.at(connection.fd), set.size, closed]).toEqual([undefined, 0, [connection.fd]])
  })

  it('ends all that is idle when it drains', () => {
    const { service, set, connection } = setOf(0)
    set.drain()
    expect(connection.closed).toBe(false)
    service.now += QUIET_MS
    set.sweep()
    expect([connection.closed, set.size]).toEqual([true, 0])
  })
})
