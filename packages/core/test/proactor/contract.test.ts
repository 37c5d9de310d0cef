/** The contract of processor.ts, for every backend. */
import { readdirSync, readFileSync } from 'node:fs'
import {
  close,
  connect,
  EAGAIN,
  ECANCELED,
  ECONNRESET,
  EPIPE,
  eventfd,
  eventfdDrain,
  eventfdSignal,
  getsockname,
  PosixError,
  recv,
  SHUT_RDWR,
  SHUT_WR,
  send,
  setLinger,
  setSendBuffer,
  shutdown,
  socket,
  socketpair,
  UnsupportedError,
} from '@cs/core/posix'
import {
  type AsynchronousOperationProcessor,
  type Backend,
  IoUringProcessor,
  openProcessor,
  WRITE_BYTES,
} from '@cs/core/proactor'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { bytes, closeAll, closeLast, keep, listenOn, run, text, withoutIoUring } from '../posix/support.js'

afterEach(closeAll)

const backends: readonly Backend[] = ['io_uring', 'aio', 'emulated']

function reasonWithout(backend: Backend): string | undefined {
  try {
    openProcessor(backend).free()
    return undefined
  } catch (error) {
    if (error instanceof PosixError || error instanceof UnsupportedError) return error.message
    throw error
  }
}

/** Both ends; what is handed to a processor is closed by it, and so not kept. */
function pair(): [number, number] {
  const [ours, theirs] = socketpair({ nonblocking: true })
  return [ours, keep(theirs)]
}

function say(fd: number, content: string): void {
  expect(send(fd, bytes(content), 0, content.length)).toBe(content.length)
}

const buffer = Buffer.alloc(1 << 20)

/** What has come by now. */
function hear(fd: number): string {
  let heard = ''
  for (let n = recv(fd, buffer, 0, buffer.length); n > 0; n = recv(fd, buffer, 0, buffer.length))
    heard += text(buffer, n)
  return heard
}

describe.each(backends)('%s', (backend) => {
  const missing = reasonWithout(backend)
  beforeEach((context) => context.skip(missing !== undefined, `${backend} cannot be used: ${missing}`))

  function open(): AsynchronousOperationProcessor {
    const processor = openProcessor(backend)
    onTestFinished(() => processor.free())
    return processor
  }

  /** Turns until something holds. */
  function until(processor: AsynchronousOperationProcessor, holds: () => boolean): void {
    for (let turns = 0; !holds(); turns++) {
      if (turns === 500) throw new Error('it does not come about')
      processor.wait(20)
      processor.dispatch()
    }
  }

  /** Turns as often as it takes for whatever is going to happen at once. */
  function settle(processor: AsynchronousOperationProcessor): void {
    for (let turns = 0; turns < 5; turns++) {
      processor.wait(2)
      processor.dispatch()
    }
  }

  /** Reads a descriptor to a list of what came: texts and results below 1. */
  function reading(processor: AsynchronousOperationProcessor, fd: number): (string | number)[] {
    const heard: (string | number)[] = []
    const received = (from: number, lent: Buffer, n: number): void => {
      expect(from).toBe(fd)
      heard.push(n > 0 ? text(lent, n) : n)
    }
    processor.read(fd, { received })
    return heard
  }

  it('says what does its operations', () => {
    const processor = open()
    expect(processor.backend).toBe(backend)
    expect(processor.mechanism).toMatch({ io_uring: /io_uring/, aio: /aio/, emulated: /emulated.*epoll/ }[backend])
  })

  describe('accept', () => {
    it('completes for each connection, non-blocking and close-on-exec', () => {
      const processor = open()
      const listener = listenOn({ family: 'ipv4', host: '127.0.0.1', port: 0 }, true)
      const accepted: number[] = []
      processor.accept(listener, { accepted: (fd) => void accepted.push(keep(fd)) })
      for (let i = 0; i < 10; i++) connect(keep(socket('ipv4')), getsockname(listener))
      until(processor, () => accepted.length === 10)
      expect(new Set(accepted).size).toBe(10)
      for (const fd of accepted) {
        const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!
        expect(Number.parseInt(flags, 8) & 0o2004000).toBe(0o2004000)
      }
    })

    it('completes with ECANCELED last where it is cancelled, and takes nobody any more', () => {
      const processor = open()
      const listener = listenOn({ family: 'ipv4', host: '127.0.0.1', port: 0 }, true)
      const results: number[] = []
      processor.accept(listener, { accepted: (result) => void results.push(result) })
      processor.wait(0)
      processor.cancel(listener)
      until(processor, () => results.length > 0)
      connect(keep(socket('ipv4')), getsockname(listener))
      settle(processor)
      expect(results).toEqual([-ECANCELED])
    })

    it('fails where the listener is shut down, and may be started on another', () => {
      const processor = open()
      const results: number[] = []
      const handler = { accepted: (result: number) => void results.push(result) }
      const first = listenOn({ family: 'ipv4', host: '127.0.0.1', port: 0 }, true)
      processor.accept(first, handler)
      processor.wait(0)
      shutdown(first, SHUT_RDWR)
      until(processor, () => results.length > 0)
      expect(results).toHaveLength(1)
      expect(results[0]).toBeLessThan(0)
    })
  })

  describe('read', () => {
    it('completes for each arrival, and with 0 at the end of the stream, last', () => {
      const processor = open()
      const [ours, theirs] = pair()
      const heard = reading(processor, ours)
      for (const word of ['one', 'two', 'three']) {
        const count = heard.length
        say(theirs, word)
        until(processor, () => heard.length > count)
      }
      shutdown(theirs, SHUT_WR)
      until(processor, () => heard.length === 4)
      settle(processor)
      expect(heard).toEqual(['one', 'two', 'three', 0])
      processor.close(ours)
    })

    it('completes with the error where the connection breaks', () => {
      const processor = open()
      const { client, server } = unkept()
      const heard = reading(processor, server)
      processor.wait(0)
      setLinger(client, 0)
      closeLast()
      until(processor, () => heard.length > 0)
      expect(heard).toEqual([-ECONNRESET])
      processor.close(server)
    })

    it('brings everything, in order, of many descriptors that send more than there are buffers', () => {
      const processor =
        backend === 'io_uring' ? new IoUringProcessor({ buffers: 2, bufferBytes: 64, entries: 8 }) : open()
      onTestFinished(() => processor.free())
      const pairs = Array.from({ length: 40 }, pair)
      const content = Array.from({ length: 200 }, (_, i) => `${i} `).join('')
      const heard = new Map(pairs.map(([ours]) => [ours, '']))
      for (const [ours] of pairs) {
        processor.read(ours, {
          received: (fd, lent, n) => void heard.set(fd, heard.get(fd)! + text(lent, n)),
        })
      }
      for (const [, theirs] of pairs) say(theirs, content)
      until(processor, () => [...heard.values()].every((each) => each.length === content.length))
      expect(new Set(heard.values())).toEqual(new Set([content]))
      for (const [ours] of pairs) processor.close(ours)
    })

    it('stops while it is paused, and then goes on where it stopped', () => {
      const processor = open()
      const [ours, theirs] = pair()
      const heard = reading(processor, ours)
      say(theirs, 'a')
      until(processor, () => heard.length === 1)
      processor.pause(ours)
      settle(processor)
      say(theirs, 'b')
      settle(processor)
      expect(heard).toEqual(['a'])
      const later = reading(processor, ours)
      until(processor, () => later.length === 1)
      expect(later).toEqual(['b'])
      processor.pause(ours) // and at once again: nothing is lost between the two
      const last = reading(processor, ours)
      say(theirs, 'c')
      until(processor, () => last.length === 1)
      expect(last).toEqual(['c'])
      processor.close(ours)
    })

    it('completes with ECANCELED last where it is cancelled, paused or not', () => {
      const processor = open()
      const [ours, theirs] = pair()
      const heard = reading(processor, ours)
      processor.wait(0)
      processor.cancel(ours)
      until(processor, () => heard.length > 0)
      const again = reading(processor, ours)
      processor.pause(ours)
      settle(processor)
      processor.cancel(ours)
      until(processor, () => again.length > 0)
      say(theirs, 'x')
      settle(processor)
      expect([heard, again]).toEqual([[-ECANCELED], [-ECANCELED]])
      processor.close(ours)
    })
  })

  describe('write', () => {
    it('takes a copy and completes once all has been written', () => {
      const processor = open()
      const [ours, theirs] = pair()
      const results: number[] = []
      const content = Buffer.from('hello')
      expect(processor.writeBytes(ours, content, 5, { sent: (_, n) => void results.push(n) })).toBe(5)
      content.fill(0)
      expect(results).toEqual([])
      until(processor, () => results.length > 0)
      expect(results).toEqual([5])
      expect(hear(theirs)).toBe('hello')
      processor.close(ours)
    })

    it('gathers chunks, and takes as many bytes as fit one operation', () => {
      const processor = open()
      const [ours, theirs] = pair()
      let sent = 0
      const chunks = [Buffer.from('head '), Buffer.alloc(WRITE_BYTES, 'b'), Buffer.from('tail')]
      expect(processor.write(ours, chunks, { sent: (_, n) => void (sent = n) })).toBe(WRITE_BYTES)
      let heard = ''
      until(processor, () => {
        heard += hear(theirs)
        return sent > 0
      })
      heard += hear(theirs)
      expect(sent).toBe(WRITE_BYTES)
      expect(heard).toBe(`head ${'b'.repeat(WRITE_BYTES - 5)}`)
      processor.close(ours)
    })

    it('takes one at a time, and completes it bit by bit where the other end is slow', () => {
      const processor = open()
      const { client, server } = unkept()
      setSendBuffer(server, 4096)
      const content = Buffer.alloc(WRITE_BYTES, 'x')
      let total = 0
      let sent = 0
      const write = (): number =>
        processor.writeBytes(server, content, content.length, { sent: (_, n) => void (sent += n) })
      for (let rounds = 0; ; rounds++) {
        const before = sent
        total += write()
        settle(processor)
        if (sent === before) break
        if (rounds > 2000) throw new Error('the socket never fills')
      }
      expect(write()).toBe(-EAGAIN)
      let heard = 0
      until(processor, () => {
        heard += hear(client).length
        return sent === total
      })
      heard += hear(client).length
      expect(heard).toBe(total)
      processor.close(server)
    })

    it('completes with the error where the other end is gone', () => {
      const processor = open()
      const [ours, theirs] = pair()
      shutdown(theirs, SHUT_RDWR)
      const results: number[] = []
      processor.writeBytes(ours, bytes('x'), 1, { sent: (_, n) => void results.push(n) })
      until(processor, () => results.length > 0)
      expect(results).toEqual([-EPIPE])
      processor.close(ours)
    })

    it('sends the end of the stream behind what is being written', () => {
      const processor = open()
      const [ours, theirs] = pair()
      let sent = 0
      processor.writeBytes(ours, bytes('last'), 4, { sent: (_, n) => void (sent = n) })
      processor.shutdown(ours)
      until(processor, () => sent > 0)
      expect(recv(theirs, buffer, 0, 16)).toBe(4)
      expect(recv(theirs, buffer, 0, 16)).toBe(0)
      const heard = reading(processor, ours)
      say(theirs, 'still')
      until(processor, () => heard.length > 0)
      expect(heard).toEqual(['still'])
      processor.close(ours)
    })
  })

  describe('close', () => {
    it('sends what was written before and then the end of the stream, and tells nobody', () => {
      const processor = open()
      const [ours, theirs] = pair()
      const heard = reading(processor, ours)
      settle(processor)
      const results: number[] = []
      processor.writeBytes(ours, bytes('bye'), 3, { sent: (_, n) => void results.push(n) })
      processor.close(ours)
      settle(processor)
      expect(recv(theirs, buffer, 0, 16)).toBe(3)
      expect(recv(theirs, buffer, 0, 16)).toBe(0)
      expect([heard, results]).toEqual([[], []])
    })

    it('completes nothing of it for the successor with the same number', () => {
      const processor = open()
      const [ours, theirs] = pair()
      const old = reading(processor, ours)
      settle(processor)
      say(theirs, 'to the old one')
      processor.wait(0) // what came is complete, and not yet dispatched
      processor.close(ours)
      processor.wait(0) // and now the number is free
      const [successor, other] = socketpair({ nonblocking: true })
      keep(other)
      expect(successor).toBe(ours)
      const heard = reading(processor, successor)
      processor.dispatch()
      settle(processor)
      say(other, 'to the new one')
      until(processor, () => heard.length > 0)
      expect([old, heard]).toEqual([[], ['to the new one']])
      processor.close(successor)
    })

    it('may be done by a handler of the descriptor itself', () => {
      const processor = open()
      const [ours, theirs] = pair()
      let count = 0
      processor.read(ours, {
        received(fd) {
          count++
          processor.close(fd)
        },
      })
      say(theirs, 'x')
      until(processor, () => count > 0)
      settle(processor)
      expect(recv(theirs, buffer, 0, 16)).toBe(0)
      expect(count).toBe(1)
    })

    it('cuts off a write that the other end does not take', () => {
      const processor = open()
      const { client, server } = unkept()
      const content = Buffer.alloc(WRITE_BYTES, 'x')
      let sent = 0
      let total = 0
      for (let stuck = false; !stuck; ) {
        const before = sent
        total += processor.writeBytes(server, content, content.length, { sent: (_, n) => void (sent += n) })
        settle(processor)
        stuck = sent === before
      }
      processor.close(server)
      settle(processor)
      let heard = 0
      let n = 0
      while ((n = recv(client, buffer, 0, buffer.length)) > 0) heard += n
      expect(n).toBe(0) // the end has come, and not -EAGAIN
      expect(heard).toBeLessThan(total)
    })
  })

  describe('watch and timer', () => {
    it('tells as long as a descriptor is readable, until it is cancelled', () => {
      const processor = open()
      const event = keep(eventfd(0, { nonblocking: true }))
      let told = 0
      processor.watch(event, { ready: (fd) => void (told += fd === event ? 1 : Number.NaN) })
      settle(processor)
      expect(told).toBe(0)
      eventfdSignal(event)
      until(processor, () => told >= 3)
      eventfdDrain(event)
      settle(processor)
      const then = told
      settle(processor)
      expect(told).toBe(then)
      processor.cancel(event)
      eventfdSignal(event)
      settle(processor)
      expect(told).toBe(then)
      processor.watch(event, { ready: () => void told++ })
      until(processor, () => told > then)
    })

    it('runs timers in the order in which they are due, but none that is cancelled', () => {
      const processor = open()
      const ran: string[] = []
      const timer = (name: string, ms: number) => processor.timer(ms, { expired: () => void ran.push(name) })
      timer('third', 30)
      timer('first', 1)
      const cancel = timer('never', 10)
      timer('second', 15)
      cancel()
      cancel()
      until(processor, () => ran.length === 3)
      settle(processor)
      expect(ran).toEqual(['first', 'second', 'third'])
    })
  })

  describe('wait and dispatch', () => {
    it('waits as long as it is told, and no longer than until something is complete', () => {
      const processor = open()
      expect(processor.wait(0)).toBe(0)
      const start = performance.now()
      expect(processor.wait(20)).toBe(0)
      expect(performance.now() - start).toBeGreaterThanOrEqual(19)
      const [ours, theirs] = pair()
      const heard = reading(processor, ours)
      say(theirs, 'x')
      expect(processor.wait(-1)).toBeGreaterThan(0)
      expect(heard).toEqual([])
      processor.dispatch()
      expect(heard).toEqual(['x'])
      processor.close(ours)
    })

    it('dispatches no completion of what handlers initiate meanwhile', () => {
      const processor = open()
      const [ours, theirs] = pair()
      let sent = 0
      const sender = { sent: () => void sent++ }
      processor.read(ours, { received: (fd, lent, n) => void processor.writeBytes(fd, lent, n, sender) })
      say(theirs, 'echo')
      processor.wait(-1)
      processor.dispatch()
      expect(sent).toBe(0)
      until(processor, () => sent === 1)
      expect(hear(theirs)).toBe('echo')
      processor.close(ours)
    })

    it('serves many descriptors for long without growing', () => {
      const processor = open()
      const before = readdirSync('/proc/self/fd').length
      for (let round = 0; round < 200; round++) {
        const pairs = Array.from({ length: 8 }, () => socketpair({ nonblocking: true }))
        let done = 0
        for (const [ours, theirs] of pairs) {
          processor.read(ours, {
            received(fd, lent, n) {
              if (n > 0) processor.writeBytes(fd, lent, n, { sent: () => processor.close(fd) })
            },
          })
          say(theirs, 'x')
        }
        until(processor, () => {
          for (const [, theirs] of pairs) if (hear(theirs) === 'x') done++
          return done === pairs.length
        })
        for (const [, theirs] of pairs) close(theirs)
      }
      settle(processor)
      expect(readdirSync('/proc/self/fd').length).toBe(before)
    })
  })

  it('gives everything back, whatever is under way', () => {
    const holdings = () => ({
      fds: readdirSync('/proc/self/fd').length,
      rings: readFileSync('/proc/self/maps', 'utf8').match(/io_uring/g)?.length ?? 0,
    })
    const before = holdings()
    for (let i = 0; i < 5; i++) {
      const processor = openProcessor(backend)
      const [ours, theirs] = socketpair({ nonblocking: true })
      processor.read(ours, { received: () => expect.unreachable() })
      processor.timer(1e6, { expired: () => expect.unreachable() })
      processor.watch(theirs, { ready: () => expect.unreachable() })
      processor.wait(0)
      processor.writeBytes(ours, bytes('x'), 1, { sent: () => expect.unreachable() })
      processor.free()
      processor.free()
      close(ours)
      close(theirs)
    }
    expect(holdings()).toEqual(before)
  })

  it('lets a process exit while operations are under way', () => {
    const source = `
      import { openProcessor } from '@cs/core/proactor'
      import { socketpair } from '@cs/core/posix'
      const processor = openProcessor('${backend}')
      const [ours] = socketpair({ nonblocking: true })
      processor.read(ours, { received() {} })
      processor.timer(1e6, { expired() {} })
      processor.wait(0)
      console.log('true')
      process.exit()`
    expect(run(source)).toBe(true)
  })
})

/** A TCP connection whose server end is closed by the processor. */
function unkept(): { client: number; server: number } {
  const listener = listenOn({ family: 'ipv4', host: '127.0.0.1', port: 0 }, true)
  const client = keep(socket('ipv4', { nonblocking: true }))
  connect(client, getsockname(listener))
  const processor = openProcessor('emulated')
  let server = -1
  processor.accept(listener, { accepted: (fd) => void (server = fd) })
  while (server < 0) {
    processor.wait(20)
    processor.dispatch()
  }
  processor.free()
  return { client, server }
}

describe('the choice of a backend', () => {
  it('takes io_uring for auto where it can be had', (context) => {
    const missing = reasonWithout('io_uring')
    context.skip(missing !== undefined, `io_uring cannot be used: ${missing}`)
    const processor = openProcessor('auto', () => expect.unreachable())
    expect(processor.backend).toBe('io_uring')
    processor.free()
  })

  it('falls back to the emulated one where io_uring is forbidden, and says why', () => {
    const source = `
      import { describeProcessor, openProcessor } from '@cs/core/proactor'
      const reasons = []
      const processor = openProcessor('auto', (reason) => reasons.push(reason))
      processor.free()
      console.log(JSON.stringify({ backend: processor.backend, reasons, forced: describeProcessor('io_uring') }))`
    expect(run(withoutIoUring + source)).toEqual({
      backend: 'emulated',
      reasons: [expect.stringMatching(/io_uring_setup: .*EPERM/)],
      forced: expect.stringMatching(/^none: io_uring_setup/),
    })
  })
})
