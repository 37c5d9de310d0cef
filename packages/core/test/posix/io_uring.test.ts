import { readdirSync, readFileSync } from 'node:fs'
import {
  BufferRing,
  connect,
  EBADF,
  ECANCELED,
  ENOBUFS,
  ENOENT,
  ETIME,
  getsockname,
  IoUring,
  type IoUringSettings,
  mmapPrivate,
  munmap,
  POLLIN,
  PosixError,
  pipe2,
  recv,
  SHUT_WR,
  send,
  socket,
  socketpair,
  UnsupportedError,
  write,
} from '@cs/core/posix'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { bytes, closeAll, keep, listenOn, run, text, withoutIoUring } from './support.js'

const missing = reasonWithout()

function reasonWithout(): string | undefined {
  try {
    IoUring.open({ entries: 4 }).free()
    return undefined
  } catch (error) {
    if (error instanceof PosixError || error instanceof UnsupportedError) return error.message
    throw error
  }
}

beforeEach((context) => context.skip(missing !== undefined, `io_uring cannot be used: ${missing}`))
afterEach(closeAll)

function ringOf(settings: IoUringSettings = {}): IoUring {
  const ring = IoUring.open({ entries: 16, ...settings })
  onTestFinished(() => ring.free())
  return ring
}

/** Buffers whose operations the test must have ended. */
function buffersOf(ring: IoUring, count: number, size: number): BufferRing {
  const buffers = new BufferRing(ring, 0, count, size)
  onTestFinished(() => buffers.free())
  return buffers
}

function pair(): [number, number] {
  const [a, b] = socketpair({ nonblocking: true })
  return [keep(a), keep(b)]
}

interface Completion {
  readonly data: number
  readonly kind: number
  readonly result: number
  readonly hasMore: boolean
  readonly buffer: number
}

/** Takes all completions that are there. */
function taken(ring: IoUring): Completion[] {
  const all: Completion[] = []
  for (; ring.ready > 0; ring.next()) {
    const { data, kind, result, hasMore, buffer } = ring
    all.push({ data, kind, result, hasMore, buffer })
  }
  return all
}

/** Enters until so many completions have come. */
function awaited(ring: IoUring, count: number): Completion[] {
  const all: Completion[] = []
  while (all.length < count) {
    expect(ring.enter(5000), `completion ${all.length + 1} of ${count}`).toBeGreaterThan(0)
    all.push(...taken(ring))
  }
  return all
}

function memoryOf(content: string): number {
  const region = mmapPrivate(4096)
  new Uint8Array(region.buffer).set(bytes(content))
  onTestFinished(() => munmap(region.address, region.size))
  return region.address
}

describe.each([{ plain: false }, { plain: true }])('a ring, plain: $plain', ({ plain }) => {
  it('says how it was set up', () => {
    expect(ringOf({ plain }).setup).toMatch(plain ? /^$/ : /^(SINGLE_ISSUER\|DEFER_TASKRUN|COOP_TASKRUN|)$/)
  })

  it('accepts again and again with one operation', () => {
    const ring = ringOf({ plain })
    const listener = listenOn({ family: 'ipv4', host: '127.0.0.1', port: 0 }, true)
    ring.accept(listener, 7, 1)
    for (let i = 0; i < 3; i++) {
      expect(connect(keep(socket('ipv4')), getsockname(listener))).toBe(0)
      const [accepted] = awaited(ring, 1)
      expect(accepted).toMatchObject({ data: 7, kind: 1, hasMore: true })
      const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${keep(accepted!.result)}`, 'utf8'))![1]!
      expect(Number.parseInt(flags, 8) & 0o2004000).toBe(0o2004000) // close-on-exec, non-blocking
    }
    ring.cancel(7, 1, 9)
    expect(awaited(ring, 1)).toEqual([{ data: 7, kind: 1, result: -ECANCELED, hasMore: false, buffer: -1 }])
  })

  it('receives again and again into buffers of its own choice, up to the end of the stream', () => {
    const ring = ringOf({ plain })
    const buffers = buffersOf(ring, 4, 64)
    const [ours, theirs] = pair()
    ring.receive(ours, buffers.group, 1, 2)
    for (const content of ['one', 'two', 'three', 'four', 'five']) {
      send(theirs, bytes(content), 0, content.length)
      const [got] = awaited(ring, 1)
      expect(got).toMatchObject({ data: 1, kind: 2, result: content.length, hasMore: true })
      expect(text(buffers.buffers[got!.buffer]!, got!.result)).toBe(content)
      buffers.giveBack(got!.buffer)
      buffers.publish()
    }
    ring.shutdown(theirs, SHUT_WR, 0, 0)
    expect(awaited(ring, 1)).toMatchObject([{ data: 1, result: 0, hasMore: false }])
  })

  it('ends a receive with ENOBUFS where every buffer is taken, and keeps what came', () => {
    const ring = ringOf({ plain })
    const buffers = buffersOf(ring, 2, 4)
    const [ours, theirs] = pair()
    send(theirs, bytes('aaaabbbbcccc'), 0, 12)
    ring.receive(ours, buffers.group, 1, 2)
    const got = awaited(ring, 3)
    expect(got.map(({ result }) => result)).toEqual([4, 4, -ENOBUFS])
    expect(got[2]!.hasMore).toBe(false)
    for (const { buffer } of got.slice(0, 2)) buffers.giveBack(buffer)
    buffers.publish()
    ring.receive(ours, buffers.group, 1, 2)
    const [rest] = awaited(ring, 1)
    expect(text(buffers.buffers[rest!.buffer]!, 4)).toBe('cccc')
    ring.cancel(1, 2, 9)
    expect(awaited(ring, 1)).toMatchObject([{ result: -ECANCELED }])
  })

  it('sends from memory of the caller and closes, in one call and in order', () => {
    const ring = ringOf({ plain })
    const [ours, theirs] = socketpair({ nonblocking: true })
    keep(theirs)
    ring.send(ours, memoryOf('hello'), 5, 3, 4)
    ring.close(ours, 0, 0)
    expect(ring.prepared).toBe(2)
    expect(awaited(ring, 1)).toEqual([{ data: 3, kind: 4, result: 5, hasMore: false, buffer: -1 }])
    const buffer = Buffer.alloc(16)
    expect(recv(theirs, buffer, 0, 16)).toBe(5)
    expect(text(buffer, 5)).toBe('hello')
    expect(recv(theirs, buffer, 0, 16)).toBe(0)
  })

  it('tells once that a descriptor is readable, or each time', () => {
    const ring = ringOf({ plain })
    const [reader, writer] = pipe2({ nonblocking: true })
    keep(reader)
    keep(writer)
    ring.poll(reader, POLLIN, 1, 0)
    ring.poll(reader, POLLIN, 2, 0, true)
    expect(ring.enter(0)).toBe(0)
    write(writer, bytes('x'), 0, 1)
    expect(
      awaited(ring, 2)
        .map(({ data, hasMore }) => [data, hasMore])
        .toSorted(),
    ).toEqual([
      [1, false],
      [2, true],
    ])
    write(writer, bytes('x'), 0, 1)
    expect(awaited(ring, 1)).toMatchObject([{ data: 2, hasMore: true }])
    ring.cancel(2, 0, 9)
    expect(awaited(ring, 1)).toMatchObject([{ data: 2, result: -ECANCELED }])
  })

  it('completes timeouts in the order in which they are due', () => {
    const ring = ringOf({ plain })
    ring.timeout(30, 3, 0)
    ring.timeout(1.5, 1, 0)
    ring.timeout(15, 2, 0)
    expect(awaited(ring, 3).map(({ data, result }) => [data, result])).toEqual([
      [1, -ETIME],
      [2, -ETIME],
      [3, -ETIME],
    ])
  })

  it('cancels an operation that takes longer than the timeout linked to it', () => {
    const ring = ringOf({ plain })
    const [ours] = pair()
    for (let i = 0; i < 15; i++) ring.timeout(0, 100 + i, 0) // leaves room for one: the two must not be torn apart
    ring.receiveOnce(ours, memoryOf(''), 16, 1, 0, true)
    ring.linkTimeout(5, 2, 0)
    const ended = awaited(ring, 17).filter(({ data }) => data < 100)
    expect(ended.map(({ data, result }) => [data, result]).toSorted()).toEqual([
      [1, -ECANCELED],
      [2, -ETIME],
    ])
  })

  it('says of a cancel that there was nothing to cancel', () => {
    const ring = ringOf({ plain })
    ring.cancel(1234, 5, 9)
    expect(awaited(ring, 1)).toEqual([{ data: 0, kind: 9, result: -ENOENT, hasMore: false, buffer: -1 }])
  })

  it('waits no longer than it is told, and not at all for 0', () => {
    const ring = ringOf({ plain })
    expect(ring.enter(0)).toBe(0)
    const start = performance.now()
    expect(ring.enter(20)).toBe(0)
    expect(performance.now() - start).toBeGreaterThanOrEqual(19.9)
  })

  it('submits by itself where the submission ring is full', () => {
    const ring = ringOf({ plain })
    for (let i = 0; i < 100; i++) ring.timeout(0, i, 0)
    expect(ring.prepared).toBeLessThanOrEqual(ring.entries)
    expect(
      awaited(ring, 100)
        .map(({ data }) => data)
        .toSorted((a, b) => a - b),
    ).toEqual(Array.from({ length: 100 }, (_, i) => i))
  })

  it('loses no completion where more come than fit', () => {
    const ring = ringOf({ plain, entries: 4, completions: 4 })
    for (let i = 0; i < 64; i++) ring.close(1e6, i, 0) // fails, and so completes
    const seen = new Set<number>()
    let overflowed = false
    for (let tries = 0; seen.size < 64 && tries < 1000; tries++) {
      ring.enter(0)
      overflowed ||= ring.overflowed
      for (const { data, result } of taken(ring)) {
        expect(result).toBe(-EBADF)
        seen.add(data)
      }
    }
    expect(seen.size).toBe(64)
    expect(overflowed).toBe(true)
  })

  it('ends a multishot operation, which is started again, where its completions do not fit', () => {
    const ring = ringOf({ plain, entries: 4, completions: 4 })
    const buffers = buffersOf(ring, 16, 1)
    const [ours, theirs] = pair()
    send(theirs, bytes('abcdefghijkl'), 0, 12)
    ring.receive(ours, buffers.group, 1, 0)
    let heard = ''
    let ended = 0
    while (heard.length < 12) {
      expect(ring.enter(5000)).toBeGreaterThan(0)
      for (const { result, hasMore, buffer } of taken(ring)) {
        if (result > 0) heard += text(buffers.buffers[buffer]!, result)
        if (hasMore) continue
        ended++
        if (heard.length < 12) ring.receive(ours, buffers.group, 1, 0)
      }
    }
    expect(heard).toBe('abcdefghijkl')
    expect(ended).toBeGreaterThan(0)
    ring.cancel(1, 0, 9)
    ring.enter(0)
  })
})

describe('the ends of a ring', () => {
  it('gives back its descriptor and all that it mapped', () => {
    const before = holdings()
    for (let i = 0; i < 20; i++) {
      const ring = IoUring.open({ entries: 8 })
      const buffers = new BufferRing(ring, 0, 8, 512)
      buffers.free()
      ring.free()
      ring.free()
    }
    expect(holdings()).toEqual(before)
  })

  it('refuses operations once it is freed', () => {
    const ring = IoUring.open({ entries: 4 })
    ring.free()
    expect(() => ring.timeout(1, 1, 1)).toThrow(RangeError)
  })

  it('throws PosixError for sizes that the kernel refuses, and leaves nothing behind', () => {
    const before = holdings()
    expect(() => IoUring.open({ entries: 1 << 20 })).toThrow(PosixError)
    const ring = IoUring.open({ entries: 4 })
    expect(() => new BufferRing(ring, 0, 3, 64)).toThrow(PosixError) // no power of two
    ring.free()
    expect(holdings()).toEqual(before)
  })
})

/** Descriptors and mappings that have to do with rings. */
function holdings() {
  const maps = readFileSync('/proc/self/maps', 'utf8').match(/io_uring/g)?.length ?? 0
  return { fds: readdirSync('/proc/self/fd').length, maps }
}

describe('where io_uring is forbidden', () => {
  it('throws an error that says what to do', () => {
    const source = `
      import { IoUring } from '@cs/core/posix'
      let error
      try { IoUring.open({ entries: 4 }) } catch (caught) { error = caught }
      console.log(JSON.stringify({ name: error?.name, code: error?.code, syscall: error?.syscall, message: error?.message }))`
    expect(run(withoutIoUring + source)).toMatchObject({ name: 'PosixError', code: 'EPERM', syscall: 'io_uring_setup' })
    expect(run(withoutIoUring + source)).toMatchObject({ message: expect.stringContaining('kernel.io_uring_disabled') })
  })
})
