import { EpollDemultiplexer, READABLE, WRITABLE } from '@cs/core/demux'
import { close, epoll_create1, pipe2, recv, SHUT_RDWR, send, shutdown, socketpair } from '@cs/core/posix'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { bytes, closeAll, keep, run } from '../posix/support.js'

afterEach(closeAll)

function demultiplexer(epfd?: number): EpollDemultiplexer {
  const demux = new EpollDemultiplexer(epfd === undefined ? {} : { epfd })
  if (epfd === undefined) onTestFinished(() => demux.close())
  return demux
}

function pair(): [number, number] {
  const [a, b] = socketpair({ nonblocking: true })
  return [keep(a), keep(b)]
}

/** What a wait that does not wait reports, as pairs of descriptor and readiness. */
function reported(demux: EpollDemultiplexer): [number, number][] {
  const ready = demux.wait(0)
  return Array.from({ length: ready }, (_, i) => [demux.fd(i), demux.ready(i)])
}

describe('the epoll demultiplexer', () => {
  it('reports what is readable and what is writable, as far as somebody is interested', () => {
    const demux = demultiplexer()
    const [a, b] = pair()
    demux.add(a, READABLE)
    expect(reported(demux)).toEqual([])
    send(b, bytes('x'), 0, 1)
    expect(reported(demux)).toEqual([[a, READABLE]])
    demux.modify(a, WRITABLE)
    expect(reported(demux)).toEqual([[a, WRITABLE]])
    demux.modify(a, READABLE | WRITABLE)
    expect(reported(demux)).toEqual([[a, READABLE | WRITABLE]])
  })

  it('reports again what was not consumed, and nothing that was', () => {
    const demux = demultiplexer()
    const [a, b] = pair()
    demux.add(a, READABLE)
    send(b, bytes('xy'), 0, 2)
    expect([reported(demux), reported(demux)]).toEqual([[[a, READABLE]], [[a, READABLE]]])
    recv(a, new Uint8Array(1), 0, 1)
    expect(reported(demux)).toHaveLength(1)
    recv(a, new Uint8Array(1), 0, 1)
    expect(reported(demux)).toEqual([])
  })

  it('reports a hang-up as readable and writable, whatever the interest', () => {
    const demux = demultiplexer()
    const [a, b] = pair()
    demux.add(a, 0)
    send(b, bytes('x'), 0, 1)
    expect(reported(demux)).toEqual([])
    shutdown(b, SHUT_RDWR)
    expect(reported(demux)).toEqual([[a, READABLE | WRITABLE]])
  })

  it('reports an error as readable and writable', () => {
    const demux = demultiplexer()
    const [reader, writer] = pipe2({ nonblocking: true })
    demux.add(keep(writer), 0)
    close(reader)
    expect(reported(demux)).toEqual([[writer, READABLE | WRITABLE]])
  })

  it('reports nothing of what was removed, and takes a removal twice', () => {
    const demux = demultiplexer()
    const [a, b] = pair()
    demux.add(a, READABLE)
    send(b, bytes('x'), 0, 1)
    demux.remove(a)
    demux.remove(a)
    expect(reported(demux)).toEqual([])
    demux.add(a, READABLE)
    expect(reported(demux)).toEqual([[a, READABLE]])
  })

  it('takes what is added twice as modified, and refuses to modify what was not added', () => {
    const demux = demultiplexer()
    const [a, b] = pair()
    demux.add(a, READABLE)
    demux.add(a, WRITABLE) // a thread that died may have left it there
    expect(reported(demux)).toEqual([[a, WRITABLE]])
    expect(() => demux.modify(b, READABLE)).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'epoll_ctl' }))
    expect(() => demux.add(1e6, READABLE)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })

  it('reports once what was added once, until it is armed again', () => {
    const demux = demultiplexer()
    const [a, b] = pair()
    demux.addOnce(a, READABLE)
    send(b, bytes('x'), 0, 1)
    expect([reported(demux), reported(demux)]).toEqual([[[a, READABLE]], []])
    demux.rearm(a, READABLE)
    expect([reported(demux), reported(demux)]).toEqual([[[a, READABLE]], []])
  })

  it('takes descriptors by another demultiplexer on the same epoll', () => {
    const epfd = keep(epoll_create1())
    const [waits, adds] = [demultiplexer(epfd), demultiplexer(epfd)]
    const [a, b] = pair()
    adds.addOnce(a, READABLE)
    send(b, bytes('x'), 0, 1)
    expect(reported(waits)).toEqual([[a, READABLE]])
  })

  it('reports in several waits what is too much for one', () => {
    const demux = demultiplexer()
    const writable = new Set<number>()
    for (let i = 0; i < 300; i++) for (const fd of pair()) demux.add(fd, WRITABLE)
    for (let waits = 0; waits < 2; waits++) {
      const ready = demux.wait(0)
      for (let i = 0; i < ready; i++) {
        writable.add(demux.fd(i))
        demux.remove(demux.fd(i))
      }
    }
    expect(writable.size).toBe(600)
  })

  it('waits for ever below 0, and wakes for what is ready', () => {
    const demux = demultiplexer()
    const [a, b] = pair()
    demux.add(a, READABLE)
    expect(demux.wait(5)).toBe(0)
    send(b, bytes('x'), 0, 1)
    expect(demux.wait(-1)).toBe(1)
  })

  it('returns 0 where a signal came', () => {
    const source = `
      import { spawn } from 'node:child_process'
      import { EpollDemultiplexer } from '@cs/core/demux'
      process.on('SIGUSR2', () => {})
      const killer = spawn('sh', ['-c', 'while kill -USR2 ' + process.pid + '; do sleep 0.05; done'], { stdio: 'ignore' })
      const ready = new EpollDemultiplexer().wait(-1)
      killer.kill()
      console.log(JSON.stringify(ready))`
    expect(run(source)).toBe(0)
  })

  it('says which call failed', () => {
    const demux = demultiplexer(pair()[0])
    expect(() => demux.wait(0)).toThrow(expect.objectContaining({ code: 'EINVAL', syscall: 'epoll_wait' }))
  })
})
