import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import {
  close,
  connect,
  EAGAIN,
  getpeername,
  getsockname,
  PosixError,
  type SocketAddress,
  socket,
} from '@cs/core/posix'
import { Listener, type ListenOptions, NONE_WAITING, STOPPED } from '@cs/core/socket'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { closeAll, keep, run } from '../posix/support.js'

const ANY: SocketAddress = { family: 'ipv4', host: '127.0.0.1', port: 0 }

afterEach(closeAll)

function open(options: Partial<ListenOptions> = {}): Listener {
  const listener = Listener.open({ address: ANY, nonblocking: true, ...options })
  onTestFinished(() => listener.close())
  return listener
}

function clientOf(address: SocketAddress): number {
  const client = keep(socket(address.family))
  expect(connect(client, address)).toBe(0)
  return client
}

/** A path for a socket in a directory that is removed afterwards. */
function somewhere(): string {
  const directory = mkdtempSync(join(tmpdir(), 'cs-listener-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return join(directory, 'server.sock')
}

function failureOf(work: () => unknown): PosixError {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(PosixError)
    return error as PosixError
  }
  throw new Error('it should have failed')
}

describe('open', () => {
  it('picks a free port for port 0 and says which', () => {
    const { address } = open()
    expect(address).toMatchObject({ family: 'ipv4', host: '127.0.0.1' })
    expect(address.family !== 'unix' && address.port).toBeGreaterThan(0)
  })

  it('tells of a port in use as Node does, with the address', () => {
    const { address } = open()
    const error = failureOf(() => open({ address }))
    expect(error).toMatchObject({ code: 'EADDRINUSE', errno: -98, syscall: 'bind', address: '127.0.0.1' })
    expect(error.port).toBe(address.family !== 'unix' && address.port)
  })

  it('lets others follow on its port, but is refused where somebody is first', () => {
    const { address } = open({ reusePort: 'first' })
    expect(open({ address, reusePort: true }).address).toEqual(address)
    expect(() => open({ address, reusePort: 'first' })).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }))
    expect(() => open({ address })).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }))
  })

  it('shares a port among sockets that all ask to', () => {
    const { address } = open({ reusePort: true })
    expect(open({ address, reusePort: true }).address).toEqual(address)
  })

  it('takes IPv4 clients on the IPv6 address ::', () => {
    const listener = open({ address: { family: 'ipv6', host: '::', port: 0 } })
    const { port } = listener.address as { port: number }
    clientOf({ family: 'ipv4', host: '127.0.0.1', port })
    const fd = keep(listener.take(true))
    expect(getpeername(fd)).toMatchObject({ family: 'ipv6', host: '::ffff:127.0.0.1' })
  })

  it('leaves no descriptor behind where it fails', () => {
    const { address } = open()
    const before = socket('ipv4')
    close(before)
    failureOf(() => open({ address }))
    const after = socket('ipv4')
    close(after)
    expect(after).toBe(before)
  })
})

describe('a Unix socket', () => {
  it('replaces the file that a dead server left', () => {
    const path = somewhere()
    close(Listener.open({ address: { family: 'unix', path } }).fd) // as the kernel does for a process that dies
    expect(existsSync(path)).toBe(true)
    const listener = open({ address: { family: 'unix', path } })
    clientOf(listener.address)
    keep(listener.take(true))
  })

  it('refuses the path of a server that lives, which goes on', () => {
    const path = somewhere()
    const listener = open({ address: { family: 'unix', path } })
    expect(failureOf(() => open({ address: listener.address }))).toMatchObject({ code: 'EADDRINUSE', address: path })
    keep(listener.take(true)) // the probe
    clientOf(listener.address)
    keep(listener.take(true))
  })

  it('refuses the path of a server that lives and whose backlog is full, without waiting for it', () => {
    const path = somewhere()
    const listener = open({ address: { family: 'unix', path }, backlog: 1 })
    let result = 0
    while (result !== -EAGAIN) result = connect(keep(socket('unix', { nonblocking: true })), listener.address)
    expect(failureOf(() => open({ address: listener.address })).code).toBe('EADDRINUSE')
  })

  it('never replaces a file of another kind', () => {
    const path = somewhere()
    writeFileSync(path, 'precious')
    expect(failureOf(() => open({ address: { family: 'unix', path } })).code).toBe('EADDRINUSE')
    expect(existsSync(path)).toBe(true)
  })

  it('is removed by whoever opened it, and not by who adopted it', () => {
    const path = somewhere()
    const opener = open({ address: { family: 'unix', path } })
    Listener.adopt(keep(socket('unix')), opener.address, () => false).release()
    expect(existsSync(path)).toBe(true)
    opener.close()
    expect(existsSync(path)).toBe(false)
  })

  it('takes an abstract name, which leaves no file', () => {
    const listener = open({ address: { family: 'unix', path: `\0cs-test-${process.pid}` } })
    clientOf(listener.address)
    keep(listener.take(true))
    expect(String(listener)).toBe(`@cs-test-${process.pid}`)
  })
})

describe('take', () => {
  it('says that none waits, on a non-blocking listener', () => {
    expect(open().take(true)).toBe(NONE_WAITING)
  })

  it('gives what waits before it says that the server stops', () => {
    let stopping = false
    const opener = open()
    const listener = Listener.adopt(opener.fd, opener.address, () => stopping)
    onTestFinished(() => listener.release())
    clientOf(opener.address)
    clientOf(opener.address)
    stopping = true
    keep(listener.take(true))
    keep(listener.take(true))
    expect(listener.take(true)).toBe(STOPPED)
  })

  it('says that the server stops once the socket is shut down', () => {
    const listener = open()
    listener.refuse()
    expect(listener.take(true)).toBe(STOPPED)
  })

  it('knows whether a connection waits', () => {
    const listener = open()
    expect(listener.waiting).toBe(false)
    clientOf(listener.address)
    expect(listener.waiting).toBe(true)
  })
})

describe('takeLast', () => {
  it('takes the whole backlog and refuses whoever comes afterwards', () => {
    const listener = open()
    for (let i = 0; i < 5; i++) clientOf(listener.address)
    const last = listener.takeLast(true)
    last.forEach(keep)
    expect(last).toHaveLength(5)
    expect(connect(keep(socket('ipv4')), listener.address)).toBeLessThan(0)
    expect(listener.takeLast(true)).toEqual([])
  })

  it('does not open the port again where another unit was first', () => {
    const listener = open()
    const other = Listener.adopt(listener.fd, listener.address, () => true)
    listener.takeLast(true)
    const port = () => getsockname(listener.fd)
    const after = port()
    expect(other.takeLast(true)).toEqual([])
    expect(port()).toEqual(after) // listen(2) would have picked one
  })
})

describe('wake', () => {
  it.each([
    ['IPv4', ANY],
    ['0.0.0.0', { family: 'ipv4', host: '0.0.0.0', port: 0 }],
    ['::', { family: 'ipv6', host: '::', port: 0 }],
    ['a Unix socket', { family: 'unix', path: `\0cs-wake-${process.pid}` }],
  ] as [string, SocketAddress][])(
    'stops a thread blocked in accept(2) on %s and loses no connection',
    async (_, address) => {
      const listener = open({ address, nonblocking: false })
      const phase = new Int32Array(new SharedArrayBuffer(8)) // [stopping, taken]
      const worker = new Worker(new URL('./fixtures/taker.mjs', import.meta.url), {
        workerData: { fd: listener.fd, address: listener.address, phase },
      })
      const ended = new Promise((resolve) => worker.on('exit', resolve))
      const reached = {
        ...listener.address,
        ...(address.family !== 'unix' && { host: address.family === 'ipv4' ? '127.0.0.1' : '::1' }),
      }
      clientOf(reached as SocketAddress)
      while (Atomics.load(phase, 1) < 1) await setImmediate()
      for (let i = 0; i < 20; i++) clientOf(reached as SocketAddress)
      Atomics.store(phase, 0, 1)
      listener.unblock()
      let isGone = false
      void ended.then(() => {
        isGone = true
      })
      while (!isGone) {
        listener.wake()
        await setImmediate()
      }
      expect(Atomics.load(phase, 1)).toBeGreaterThanOrEqual(21)
      expect(listener.take(true)).toBeLessThan(1e6) // the socket is still whole
    },
  )

  it('does nothing where no descriptor is left', () => {
    const source = `
      import { openSync, closeSync } from 'node:fs'
      import { Listener } from '@cs/core/socket'
      const listener = Listener.open({ address: { family: 'ipv4', host: '127.0.0.1', port: 0 }, nonblocking: true })
      const fds = []
      try { for (;;) fds.push(openSync('/dev/null')) } catch {}
      let failure = null
      try { listener.wake() } catch (error) { failure = error.code }
      fds.forEach(closeSync)
      console.log(JSON.stringify(failure))`
    expect(run(source, [])).toBe(null)
  })
})

describe('out of descriptors', () => {
  it('take says so, and goes on once there are some', () => {
    const source = `
      import { openSync, closeSync } from 'node:fs'
      import { EXHAUSTED, Listener } from '@cs/core/socket'
      import { close, connect, socket } from '@cs/core/posix'
      const listener = Listener.open({ address: { family: 'ipv4', host: '127.0.0.1', port: 0 }, nonblocking: true })
      const client = () => { const fd = socket('ipv4'); connect(fd, listener.address); return fd }
      const all = [client(), client()]
      all.push(listener.take(true))
      const fds = []
      try { for (;;) fds.push(openSync('/dev/null')) } catch {}
      const exhausted = [listener.take(true), listener.take(true)].every((fd) => fd === EXHAUSTED)
      closeSync(fds.pop())
      const later = listener.take(true)
      fds.forEach(closeSync)
      console.log(JSON.stringify({ exhausted, recovered: later >= 0 }))`
    expect(run(source)).toEqual({ exhausted: true, recovered: true })
  })

  it('tells a waiting client after a while, with the descriptor in reserve, and blocks on nobody', () => {
    const source = `
      import { openSync, closeSync } from 'node:fs'
      import { EXHAUSTED, Listener } from '@cs/core/socket'
      import { connect, recv, socket } from '@cs/core/posix'
      let now = 1e12
      Date.now = () => now
      const listener = Listener.open({ address: { family: 'ipv4', host: '127.0.0.1', port: 0 } })
      const first = socket('ipv4'); connect(first, listener.address); listener.take(true)
      const fds = [], client = socket('ipv4')
      try { for (;;) fds.push(openSync('/dev/null')) } catch {}
      const results = [listener.take(true)]
      now += 6000
      results.push(listener.take(true)) // a blocking socket, and nobody waits
      connect(client, listener.address)
      results.push(listener.take(true))
      const bytes = Buffer.alloc(1000), n = recv(client, bytes, 0, 1000)
      fds.forEach(closeSync)
      console.log(JSON.stringify({ exhausted: results.every((fd) => fd === EXHAUSTED), head: bytes.toString('latin1', 0, n).split('\\r\\n')[0] }))`
    expect(run(source)).toEqual({ exhausted: true, head: 'HTTP/1.1 503 Service Unavailable' })
  })
})
