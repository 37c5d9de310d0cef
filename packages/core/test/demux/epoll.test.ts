import { EpollDemultiplexer, READABLE, WRITABLE } from '@cs/core/demux'
import { close, epoll_create1, pipe2, SHUT_RDWR, send, shutdown, socketpair } from '@cs/core/posix'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { bytes, closeAll, keep } from '../posix/support.js'

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
  it('reports a hang-up as readable and writable to whoever has no interest', () => {
    const demux = demultiplexer()
    const [a, b] = pair()
    demux.add(a, 0)
    send(b, bytes('x'), 0, 1)
    expect(reported(demux)).toEqual([])
    shutdown(b, SHUT_RDWR)
    expect(reported(demux)).toEqual([[a, READABLE | WRITABLE]])
  })

  it('reports an error as readable and writable to whoever has no interest', () => {
    const demux = demultiplexer()
    const [reader, writer] = pipe2({ nonblocking: true })
    demux.add(keep(writer), 0)
    close(reader)
    expect(reported(demux)).toEqual([[writer, READABLE | WRITABLE]])
  })

  it('refuses to modify what was not added, and to add what is not open', () => {
    const demux = demultiplexer()
    expect(() => demux.modify(pair()[0], READABLE)).toThrow(
      expect.objectContaining({ code: 'ENOENT', syscall: 'epoll_ctl' }),
    )
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

  it('says which call failed', () => {
    const demux = demultiplexer(pair()[0])
    expect(() => demux.wait(0)).toThrow(expect.objectContaining({ code: 'EINVAL', syscall: 'epoll_wait' }))
  })
})
