/** The contract of demultiplexer.ts, for every backend and each of its triggers. */
import { Worker } from 'node:worker_threads'
import {
  type Demultiplexer,
  EpollDemultiplexer,
  KqueueDemultiplexer,
  PollDemultiplexer,
  READABLE,
  SelectDemultiplexer,
  type WakeupKind,
  WOKEN,
  WRITABLE,
} from '@cs/core/demux'
import { close, descriptorLimit, pipe2, recv, SHUT_RDWR, SHUT_WR, send, shutdown, socketpair } from '@cs/core/posix'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { bytes, closeAll, connected, keep, run } from '../posix/support.js'

interface Backend {
  readonly name: string
  /** As an expression, for a process of its own. */
  readonly source: string
  make(wakeup?: WakeupKind): Demultiplexer
}

const backends: readonly Backend[] = [
  { name: 'select', source: 'new SelectDemultiplexer()', make: (wakeup) => new SelectDemultiplexer(given({ wakeup })) },
  { name: 'poll', source: 'new PollDemultiplexer()', make: (wakeup) => new PollDemultiplexer(given({ wakeup })) },
  { name: 'epoll', source: 'new EpollDemultiplexer()', make: (wakeup) => new EpollDemultiplexer(given({ wakeup })) },
  {
    name: 'epoll, edge',
    source: `new EpollDemultiplexer({ trigger: 'edge' })`,
    make: (wakeup) => new EpollDemultiplexer(given({ wakeup, trigger: 'edge' as const })),
  },
  { name: 'kqueue', source: 'new KqueueDemultiplexer()', make: (wakeup) => new KqueueDemultiplexer(given({ wakeup })) },
  {
    name: 'kqueue, edge',
    source: `new KqueueDemultiplexer({ trigger: 'edge' })`,
    make: (wakeup) => new KqueueDemultiplexer(given({ wakeup, trigger: 'edge' as const })),
  },
]

/** Settings without those that are undefined. */
function given<T extends object>(settings: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as T
}

afterEach(closeAll)

function pair(): [number, number] {
  const [a, b] = socketpair({ nonblocking: true })
  return [keep(a), keep(b)]
}

/** What a wait that does not wait reports, as descriptor and readiness, the lowest descriptor first. */
function reported(demux: Demultiplexer): [number, number][] {
  const ready = demux.wait(0)
  const all = Array.from({ length: ready }, (_, i): [number, number] => [demux.fd(i), demux.ready(i)])
  return all.toSorted(([a], [b]) => a - b)
}

describe.each(backends)('$name', ({ source, make }) => {
  function open(wakeup?: WakeupKind): Demultiplexer {
    const demux = make(wakeup)
    onTestFinished(() => demux.close())
    return demux
  }

  it('reports what is readable and what is writable, as far as somebody is interested', () => {
    const demux = open()
    const [a, b] = pair()
    demux.add(a, READABLE)
    expect(reported(demux)).toEqual([])
    send(b, bytes('x'), 0, 1)
    expect(reported(demux)).toEqual([[a, READABLE]])
    demux.modify(a, WRITABLE)
    expect(reported(demux)).toEqual([[a, WRITABLE]])
    demux.modify(a, READABLE | WRITABLE)
    expect(reported(demux)).toEqual([[a, READABLE | WRITABLE]])
    demux.modify(a, 0)
    expect(reported(demux)).toEqual([])
  })

  it('reports at once what is ready when it is added', () => {
    const demux = open()
    const [a, b] = pair()
    send(b, bytes('x'), 0, 1)
    demux.add(a, READABLE | WRITABLE)
    expect(reported(demux)).toEqual([[a, READABLE | WRITABLE]])
  })

  it('reports again what was not consumed if it is level-triggered, and only what is new if it is edge-triggered', () => {
    const demux = open()
    const [a, b] = pair()
    demux.add(a, READABLE)
    send(b, bytes('xy'), 0, 2)
    expect(reported(demux)).toEqual([[a, READABLE]])
    expect(reported(demux)).toEqual(demux.trigger === 'edge' ? [] : [[a, READABLE]])
    send(b, bytes('z'), 0, 1)
    expect(reported(demux)).toEqual([[a, READABLE]])
    recv(a, new Uint8Array(3), 0, 3)
    expect(reported(demux)).toEqual([])
  })

  it('reports what is ready when it is modified, in edge mode too', () => {
    const demux = open()
    const [a, b] = pair()
    demux.add(a, READABLE)
    send(b, bytes('x'), 0, 1)
    expect(reported(demux)).toEqual([[a, READABLE]])
    demux.modify(a, READABLE)
    expect(reported(demux)).toEqual([[a, READABLE]])
  })

  it('reports the end of a stream as readable', () => {
    const demux = open()
    const [a, b] = pair()
    demux.add(a, READABLE)
    shutdown(b, SHUT_WR)
    expect(reported(demux)).toEqual([[a, READABLE]])
    expect(recv(a, new Uint8Array(1), 0, 1)).toBe(0)
  })

  it('reports a hang-up to whoever reads and to whoever writes', () => {
    for (const interest of [READABLE, WRITABLE]) {
      const demux = open()
      const [a, b] = pair()
      demux.add(a, interest)
      reported(demux)
      shutdown(b, SHUT_RDWR)
      const [[fd, ready]] = reported(demux)
      expect([fd, ready & interest]).toEqual([a, interest])
    }
  })

  it('reports an error to whoever writes', () => {
    const demux = open()
    const [reader, writer] = pipe2({ nonblocking: true })
    demux.add(keep(writer), WRITABLE)
    reported(demux)
    close(reader)
    const [[fd, ready]] = reported(demux)
    expect([fd, ready & WRITABLE]).toEqual([writer, WRITABLE])
  })

  it('reports a connection that waits to be accepted', () => {
    const demux = open()
    const { listener, client } = connected()
    demux.add(listener, READABLE)
    expect(reported(demux)).toEqual([])
    expect(client).toBeGreaterThan(0)
    const again = connected() // another listener, which is not watched
    expect([again.listener !== listener, reported(demux)]).toEqual([true, []])
  })

  it('reports nothing of what was removed, takes a removal twice, and an addition after it', () => {
    const demux = open()
    const [a, b] = pair()
    demux.add(a, READABLE)
    send(b, bytes('x'), 0, 1)
    demux.remove(a)
    demux.remove(a)
    expect(reported(demux)).toEqual([])
    demux.add(a, READABLE)
    expect(reported(demux)).toEqual([[a, READABLE]])
  })

  it('takes what is added twice as modified', () => {
    const demux = open()
    const [a] = pair()
    demux.add(a, READABLE)
    demux.add(a, WRITABLE)
    expect(reported(demux)).toEqual([[a, WRITABLE]])
  })

  it('forgets a descriptor of which it is told that it was closed, and takes its number again', () => {
    const demux = open()
    const [a, b] = socketpair({ nonblocking: true })
    keep(b)
    demux.add(a, READABLE | WRITABLE)
    expect(reported(demux)).toHaveLength(1)
    close(a)
    demux.closed(a)
    const [c, d] = pair()
    expect(c).toBe(a)
    expect(reported(demux)).toEqual([])
    demux.add(c, READABLE)
    expect(reported(demux)).toEqual([])
    send(d, bytes('x'), 0, 1)
    expect(reported(demux)).toEqual([[c, READABLE]])
  })

  it('goes on where a descriptor was closed and nobody told', () => {
    const demux = open()
    const [a, b] = socketpair({ nonblocking: true })
    keep(b)
    const [c, d] = pair()
    demux.add(a, READABLE | WRITABLE)
    demux.add(c, READABLE)
    close(a)
    send(d, bytes('x'), 0, 1)
    reported(demux) // the wait that finds out
    demux.modify(c, READABLE)
    expect(reported(demux)).toEqual([[c, READABLE]])
  })

  it('lets what was reported be removed, and others be added, while it is looked through', () => {
    const demux = open()
    const pairs = Array.from({ length: 100 }, () => pair())
    for (const [a] of pairs) demux.add(a, WRITABLE)
    const seen: number[] = []
    const ready = demux.wait(0)
    for (let i = 0; i < ready; i++) {
      seen.push(demux.fd(i))
      expect(demux.ready(i)).toBe(WRITABLE)
      demux.remove(demux.fd(i))
      demux.add(pairs[i][1], WRITABLE)
    }
    expect(seen.toSorted((a, b) => a - b)).toEqual(pairs.map(([a]) => a).toSorted((a, b) => a - b))
    expect(reported(demux).map(([fd]) => fd)).toEqual(pairs.map(([, b]) => b).toSorted((a, b) => a - b))
  })

  it('reports all that are ready, in as many waits as it takes', () => {
    const demux = open()
    const writable = new Set<number>()
    for (let i = 0; i < 400; i++) for (const fd of pair()) demux.add(fd, WRITABLE)
    for (let waits = 0; waits < 2; waits++) {
      const ready = demux.wait(0)
      for (let i = 0; i < ready; i++) {
        writable.add(demux.fd(i))
        demux.remove(demux.fd(i))
      }
    }
    expect([writable.size, demux.wait(0)]).toEqual([800, 0])
  })

  it('waits as long as it is told, and for ever below 0', () => {
    const demux = open()
    const [a, b] = pair()
    demux.add(a, READABLE)
    const began = performance.now()
    expect(demux.wait(30)).toBe(0)
    expect(performance.now() - began).toBeGreaterThanOrEqual(29)
    send(b, bytes('x'), 0, 1)
    expect(demux.wait(-1)).toBe(1)
  })

  it('returns 0 where a signal came', () => {
    expect(
      run(`
      import { spawn } from 'node:child_process'
      import * as all from '@cs/core/demux'
      const { EpollDemultiplexer, KqueueDemultiplexer, PollDemultiplexer, SelectDemultiplexer } = all
      process.on('SIGUSR2', () => {})
      const killer = spawn('sh', ['-c', 'while kill -USR2 ' + process.pid + '; do sleep 0.05; done'], { stdio: 'ignore' })
      const ready = (${source}).wait(-1)
      killer.kill()
      console.log(JSON.stringify(ready))`),
    ).toBe(0)
  })

  it('refuses a descriptor that it cannot watch', () => {
    const demux = open()
    if (demux.limit === Number.POSITIVE_INFINITY) expect(() => demux.modify(pair()[0], READABLE)).toThrow()
    else expect(() => demux.add(demux.limit, READABLE)).toThrow(RangeError)
    expect(demux.wait(0)).toBe(0)
  })

  it.each(['eventfd', 'pipe', 'socketpair'] as const)('is woken once by any number of signals: %s', (kind) => {
    const demux = open(kind)
    const [a, b] = pair()
    demux.add(a, READABLE)
    demux.wake()
    demux.wake()
    expect(reported(demux).map(([fd]) => fd)).toEqual([WOKEN])
    expect(reported(demux)).toEqual([])
    for (let i = 0; i < 200; i++) demux.wake()
    send(b, bytes('x'), 0, 1)
    expect(reported(demux).map(([fd]) => fd)).toEqual([WOKEN, a])
    demux.wake()
    expect(reported(demux).map(([fd]) => fd)).toContain(WOKEN)
  })

  it.each(['eventfd', 'pipe', 'socketpair'] as const)('is woken by another thread: %s', async (kind) => {
    const demux = open(kind)
    const worker = new Worker(new URL('./fixtures/waker.mjs', import.meta.url), { workerData: demux.wakeup.share() })
    const ended = new Promise((resolve) => worker.on('exit', resolve))
    expect(demux.wait(-1)).toBe(1)
    expect(demux.fd(0)).toBe(WOKEN)
    await ended
  })

  it('gives its descriptors back', () => {
    const count = (): number => {
      const [fd] = [keep(pipe2()[0])]
      return fd
    }
    const demux = make()
    demux.wake()
    demux.close()
    const before = count()
    const again = make()
    again.wake()
    again.close()
    closeAll()
    expect(count()).toBe(before)
  })
})

describe('select', () => {
  it('tells of urgent data once, and does not spin', () => {
    const demux = new SelectDemultiplexer()
    const { client, server } = connected()
    demux.add(server, READABLE)
    send(client, bytes('!'), 0, 1, 1) // MSG_OOB
    expect(demux.wait(1000)).toBe(1)
    expect([demux.fd(0), demux.ready(0)]).toEqual([server, READABLE])
    expect(demux.wait(0)).toBe(0)
  })

  it('watches the last descriptor that has a bit', () => {
    expect(
      run(`
      import { READABLE, SelectDemultiplexer, WRITABLE } from '@cs/core/demux'
      import { duplicate, socketpair } from '@cs/core/posix'
      const [a] = socketpair()
      let fd
      const demux = new SelectDemultiplexer()
      do fd = duplicate(a)
      while (fd < demux.limit - 1)
      demux.add(fd, WRITABLE)
      const seen = [demux.wait(0), demux.fd(0), demux.ready(0)]
      demux.remove(fd)
      seen.push(demux.wait(0))
      console.log(JSON.stringify(seen))`),
    ).toEqual([1, 1023, WRITABLE, 0])
  })
})

describe('poll', () => {
  it('watches 10,000 descriptors, and stays dense while they come and go', (context) => {
    context.skip(descriptorLimit().hard < 11_000, 'the hard limit of descriptors is below 11,000')
    expect(
      run(`
      import { PollDemultiplexer, READABLE, WRITABLE } from '@cs/core/demux'
      import { duplicate, send, socketpair } from '@cs/core/posix'
      const [a, b] = socketpair({ nonblocking: true })
      const fds = Array.from({ length: 10_000 }, () => duplicate(a))
      const demux = new PollDemultiplexer()
      for (const fd of fds) demux.add(fd, READABLE)
      const seen = [demux.wait(0)]
      for (const fd of fds) if (fd % 2 === 0) demux.remove(fd)
      send(b, new Uint8Array(1), 0, 1)
      seen.push(demux.wait(0), new Set(Array.from({ length: 5000 }, (_, i) => demux.fd(i) % 2)).size)
      for (const fd of fds) if (fd % 2 === 0) demux.add(fd, WRITABLE)
      seen.push(demux.wait(0))
      console.log(JSON.stringify(seen))`),
    ).toEqual([0, 5000, 1, 10_000])
  })
})
