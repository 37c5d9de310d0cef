import { readdirSync } from 'node:fs'
import { type KqueueBackend, KqueueDemultiplexer, type KqueueSettings, READABLE, WOKEN, WRITABLE } from '@cs/core/demux'
import { close, pipe2, recv, send, socketpair, write } from '@cs/core/posix'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { bytes, closeAll, connected, keep, run } from '../posix/support.js'
import { backends, LONG, missing } from './kqueue-queue.js'

afterEach(closeAll)

const buffer = new Uint8Array(1 << 16)

function pair(): [number, number] {
  const [a, b] = socketpair({ nonblocking: true })
  return [keep(a), keep(b)]
}

/** What a wait reports, as pairs of descriptor and readiness. */
function reported(demux: KqueueDemultiplexer, timeoutMs = 0): [number, number][] {
  const ready = demux.wait(timeoutMs)
  return Array.from({ length: ready }, (_, i) => [demux.fd(i), demux.ready(i)])
}

function open(backend: KqueueBackend, settings: KqueueSettings = {}): KqueueDemultiplexer {
  const demux = new KqueueDemultiplexer({ ...settings, backend })
  onTestFinished(() => demux.close())
  return demux
}

for (const [backend, reason] of missing) {
  it(`everything that is tested here and in kqueue-filters.test.ts, ${backend}`, (context) => context.skip(reason))
}

describe.each(backends)('the kqueue demultiplexer, %s', (backend) => {
  it('reports what is readable and writable, each descriptor once', () => {
    const demux = open(backend)
    expect([demux.name, demux.backend, demux.trigger]).toEqual(['kqueue', backend, 'level'])
    const [a, b] = pair()
    demux.add(a, READABLE)
    expect(reported(demux)).toEqual([])
    send(b, bytes('x'), 0, 1)
    expect([reported(demux), reported(demux)]).toEqual([[[a, READABLE]], [[a, READABLE]]])
    demux.modify(a, READABLE | WRITABLE)
    expect(reported(demux)).toEqual([[a, READABLE | WRITABLE]])
    demux.modify(a, WRITABLE)
    expect(reported(demux)).toEqual([[a, WRITABLE]])
    demux.modify(a, 0)
    expect(reported(demux)).toEqual([])
    demux.modify(a, READABLE)
    expect(reported(demux)).toEqual([[a, READABLE]])
  })

  it('reports edges once, and again for whoever asks', () => {
    const demux = open(backend, { trigger: 'edge' })
    const [a, b] = pair()
    demux.add(a, READABLE | WRITABLE)
    expect([reported(demux), reported(demux)]).toEqual([[[a, WRITABLE]], []])
    send(b, bytes('x'), 0, 1)
    expect([reported(demux), reported(demux)]).toEqual([[[a, READABLE]], []])
    demux.modify(a, READABLE | WRITABLE)
    expect([reported(demux), reported(demux)]).toEqual([[[a, READABLE | WRITABLE]], []])
    demux.modify(a, READABLE)
    expect([reported(demux), reported(demux)]).toEqual([[[a, READABLE]], []])
    demux.add(a, READABLE)
    expect([reported(demux), reported(demux)]).toEqual([[[a, READABLE]], []])
  })

  it('sees the last state only of what changed several times before a wait', () => {
    const demux = open(backend)
    const [a, b] = pair()
    const [c] = pair()
    send(b, bytes('x'), 0, 1)
    demux.add(a, READABLE)
    demux.modify(a, WRITABLE)
    demux.remove(a)
    demux.add(a, WRITABLE)
    demux.modify(a, READABLE)
    demux.add(c, WRITABLE)
    demux.remove(c)
    expect(reported(demux)).toEqual([[a, READABLE]])
    demux.remove(a)
    demux.remove(a)
    demux.remove(999)
    expect(reported(demux)).toEqual([])
  })

  it('drops the pending changes of what was closed', () => {
    const demux = open(backend)
    const [a, b] = socketpair({ nonblocking: true })
    keep(b)
    demux.add(a, READABLE | WRITABLE)
    close(a)
    demux.closed(a)
    expect(reported(demux)).toEqual([])
    const [c, d] = pair() // at the number of a
    expect(c).toBe(a)
    send(d, bytes('x'), 0, 1)
    expect(reported(demux)).toEqual([])
    demux.add(c, READABLE)
    expect(reported(demux)).toEqual([[c, READABLE]])
  })

  it('watches another file at a number it knew: told, removed, or closed behind its back', () => {
    for (const how of ['closed', 'removed', 'nothing'] as const) {
      for (const trigger of ['level', 'edge'] as const) {
        const demux = open(backend, { trigger })
        if (how === 'nothing' && backend === 'libkqueue') continue // it keeps what it knew, see its BUGS.md
        const [a, b] = socketpair({ nonblocking: true })
        demux.add(a, READABLE | WRITABLE)
        expect(reported(demux)).toEqual([[a, WRITABLE]])
        if (how === 'removed') demux.remove(a)
        close(a)
        close(b)
        if (how === 'closed') demux.closed(a)
        const [c, d] = pair()
        expect(c).toBe(a)
        send(d, bytes('x'), 0, 1)
        demux.add(c, READABLE)
        expect(reported(demux)).toEqual([[c, READABLE]])
        demux.remove(c)
        closeAll()
      }
    }
  })

  it('reports what cannot be watched, once, as ready for all that was asked', () => {
    const demux = open(backend)
    const [a, b] = pair()
    send(b, bytes('x'), 0, 1)
    demux.add(900_000, READABLE | WRITABLE)
    demux.add(a, READABLE)
    expect(reported(demux, LONG).sort()).toEqual(
      [
        [900_000, READABLE | WRITABLE],
        [a, READABLE],
      ].sort(),
    )
    expect(reported(demux)).toEqual([[a, READABLE]])
    expect(() => demux.modify(b, READABLE)).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'kevent' }))
    expect(() => demux.add(-1, READABLE)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'kevent' }))
  })

  it('reports the end of what is sent as readable, a reader that is gone as writable', () => {
    const demux = open(backend)
    const { client, server } = connected()
    demux.add(server, READABLE)
    expect(reported(demux)).toEqual([])
    close(client)
    expect(reported(demux, LONG)).toEqual([[server, READABLE]])
    demux.remove(server)
    const [reader, writer] = pipe2({ nonblocking: true })
    keep(writer)
    while (write(writer, buffer, 0, buffer.length) > 0);
    demux.add(writer, WRITABLE)
    expect(reported(demux)).toEqual([])
    close(reader)
    expect(reported(demux, LONG)).toEqual([[writer, WRITABLE]])
  })

  it('takes thousands of changes in one wait, and reports in several what is too much for one', () => {
    const demux = open(backend)
    const fds = Array.from({ length: 700 }, pair).flat()
    for (const fd of fds) demux.add(fd, READABLE | WRITABLE)
    const seen = new Set<number>()
    for (let waits = 0; waits < 6; waits++) {
      for (const [fd, ready] of reported(demux)) {
        expect(ready).toBe(WRITABLE)
        seen.add(fd)
        demux.remove(fd)
      }
    }
    expect(seen.size).toBe(1400)
  })

  it.for(['level', 'edge'] as const)('is woken, however often, %s-triggered', (trigger) => {
    const demux = open(backend, { trigger })
    for (let round = 0; round < 3; round++) {
      demux.wake()
      demux.wake()
      expect(reported(demux, LONG)).toEqual([[WOKEN, READABLE]])
      expect(reported(demux)).toEqual([])
    }
  })

  it('is woken by another thread', () => {
    const source = `
      import { Worker } from 'node:worker_threads'
      import { KqueueDemultiplexer, WOKEN } from '@cs/core/demux'
      const demux = new KqueueDemultiplexer({ backend: '${backend}', wakeup: 'pipe' })
      const code = "import { workerData } from 'node:worker_threads'; const { Wakeup } = await import('@cs/core/demux'); Wakeup.from(workerData).signal()"
      new Worker(code, { eval: true, workerData: demux.wakeup.share() })
      setImmediate(() => {
        const ready = demux.wait(${LONG})
        console.log(JSON.stringify([ready, demux.fd(0) === WOKEN]))
        demux.close()
      })`
    expect(run(source)).toEqual([1, true])
  })

  it('waits for ever below 0, at most so many milliseconds above', () => {
    const demux = open(backend)
    const [a, b] = pair()
    demux.add(a, READABLE)
    expect(demux.wait(5)).toBe(0)
    send(b, bytes('x'), 0, 1)
    expect(demux.wait(-1)).toBe(1)
  })

  it('returns 0 where a signal came', () => {
    const source = `
      import { spawn } from 'node:child_process'
      import { KqueueDemultiplexer } from '@cs/core/demux'
      process.on('SIGUSR2', () => {})
      const killer = spawn('sh', ['-c', 'while kill -USR2 ' + process.pid + '; do sleep 0.05; done'], { stdio: 'ignore' })
      const ready = new KqueueDemultiplexer({ backend: '${backend}' }).wait(${LONG})
      killer.kill()
      console.log(JSON.stringify(ready))`
    expect(run(source)).toBe(0)
  })

  it('carries a stream of bytes edge-triggered, where both sides are watched', () => {
    const demux = open(backend, { trigger: 'edge' })
    const [a, b] = pair()
    const total = 8 << 20
    let [sent, received] = [0, 0]
    demux.add(a, WRITABLE | READABLE)
    demux.add(b, WRITABLE | READABLE)
    while (received < total) {
      const ready = reported(demux, LONG)
      expect(ready).not.toEqual([])
      for (const [fd, bits] of ready) {
        if (fd === a && bits & WRITABLE) {
          for (let n = 1; n > 0 && sent < total; sent += Math.max(n, 0))
            n = send(a, buffer, 0, Math.min(buffer.length, total - sent))
        }
        if (fd === b && bits & READABLE) {
          for (let n = 1; n > 0; received += Math.max(n, 0)) n = recv(b, buffer, 0, buffer.length)
        }
      }
    }
    expect([sent, received]).toEqual([total, total])
  })

  it('leaves no descriptor behind', () => {
    const count = () => readdirSync('/dev/fd').length
    const before = count()
    for (let i = 0; i < 10; i++) {
      const demux = new KqueueDemultiplexer({ backend })
      demux.wake()
      demux.wait(0)
      expect(demux.descriptors.length).toBeGreaterThan(0)
      demux.close()
    }
    expect(count()).toBe(before)
  })
})
