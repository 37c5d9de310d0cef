import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  accept4,
  bind,
  connect,
  EAGAIN,
  ECONNREFUSED,
  EINPROGRESS,
  EPIPE,
  errorName,
  getpeername,
  getSocketError,
  getsockname,
  IOV_MAX,
  listen,
  MSG_DONTWAIT,
  POLLIN,
  POLLOUT,
  PosixError,
  pollOne,
  read,
  readv,
  recv,
  recvPeek,
  SHUT_RDWR,
  SHUT_WR,
  type SocketAddress,
  send,
  sendv,
  setIpv6Only,
  setKeepAlive,
  setLinger,
  setNoDelay,
  setNonBlocking,
  setReceiveBuffer,
  setReceiveLowWater,
  setReceiveTimeout,
  setReuseAddress,
  setReusePort,
  setSendBuffer,
  setSendTimeout,
  shutdown,
  socket,
  socketpair,
  write,
} from '@cs/core/posix'
import { afterEach, describe, expect, it } from 'vitest'
import { bytes, closeAll, connected, detached, keep, listenOn, text } from './support.js'

afterEach(closeAll)

const loopback: SocketAddress = { family: 'ipv4', host: '127.0.0.1', port: 0 }

function exchange(address: SocketAddress): void {
  const { client, server } = connected(address)
  const buffer = new Uint8Array(64)
  expect(send(client, bytes('>>hello'), 2, 5)).toBe(5)
  expect(pollOne(server, POLLIN, 5000)).toBe(POLLIN)
  expect(recv(server, buffer, 3, 61)).toBe(5)
  expect(text(buffer.subarray(3), 5)).toBe('hello')
  expect(shutdown(client, SHUT_WR)).toBe(0)
  expect(pollOne(server, POLLIN, 5000) & POLLIN).toBe(POLLIN)
  expect(recv(server, buffer, 0, 64)).toBe(0)
}

describe('sockets', () => {
  it('carry bytes over TCP', () => exchange(loopback))

  it('carry bytes over IPv6', () => exchange({ family: 'ipv6', host: '::1', port: 0 }))

  it('carry bytes over a Unix path', () => {
    const directory = mkdtempSync(join(tmpdir(), 'cs-posix-'))
    exchange({ family: 'unix', path: join(directory, 's') })
    rmSync(directory, { recursive: true })
  })

  it.runIf(process.platform === 'linux')('carry bytes over an abstract name', () => {
    exchange({ family: 'unix', path: `\0cs-posix-${process.pid}` })
  })

  it('tell both addresses', () => {
    const { listener, client, server } = connected()
    const { port } = getsockname(listener) as { port: number }
    expect(port).toBeGreaterThan(0)
    expect(getpeername(client)).toEqual({ ...loopback, port })
    expect(getpeername(server)).toEqual(getsockname(client))
  })

  it('return would-block as a value', () => {
    const listener = listenOn(loopback, true)
    expect(accept4(listener, true)).toBe(-EAGAIN)
    const { server, client } = connected()
    expect(recv(server, new Uint8Array(8), 0, 8)).toBe(-EAGAIN)
    expect(recv(client, new Uint8Array(8), 0, 8, MSG_DONTWAIT)).toBe(-EAGAIN)
    const chunk = new Uint8Array(1 << 20)
    let sent = 0
    while (sent >= 0) sent = send(server, chunk, 0, chunk.length)
    expect(sent).toBe(-EAGAIN)
    expect(errorName(sent)).toBe('EAGAIN')
  })

  it('connect without blocking and tell the outcome', () => {
    const listener = listenOn(loopback)
    const client = keep(socket('ipv4', { nonblocking: true }))
    expect([0, -EINPROGRESS]).toContain(connect(client, getsockname(listener)))
    expect(pollOne(client, POLLOUT, 5000)).toBe(POLLOUT)
    expect(getSocketError(client)).toBe(0)
  })

  it('return a refused connection as a value', () => {
    const unused = keep(socket('ipv4'))
    bind(unused, loopback)
    expect(connect(keep(socket('ipv4')), getsockname(unused))).toBe(-ECONNREFUSED)
  })

  it('return a broken pipe as a value', () => {
    const [a, b] = socketpair()
    keep(a)
    shutdown(keep(b), SHUT_RDWR)
    expect(send(a, bytes('x'), 0, 1)).toBe(-EPIPE)
    expect(sendv(a, [bytes('x'), bytes('y')])).toBe(-EPIPE)
  })

  it('peek without taking', () => {
    const [a, b] = socketpair().map(keep) as [number, number]
    const buffer = new Uint8Array(8)
    expect(recvPeek(b, buffer, 0, 8)).toBe(-EAGAIN)
    send(a, bytes('abc'), 0, 3)
    expect(recvPeek(b, buffer, 0, 1)).toBe(1)
    expect(recv(b, buffer, 0, 8)).toBe(3)
  })

  it('wake a blocked accept when the listener is shut down', () => {
    const listener = listenOn(loopback)
    shutdown(listener, SHUT_RDWR)
    expect(errorName(accept4(listener, false))).toMatch(/EINVAL|ECONNABORTED/)
  })

  it('take every option', () => {
    const fd = keep(socket('ipv4'))
    for (const set of [setReuseAddress, setReusePort, setNoDelay, setKeepAlive]) {
      set(fd)
      set(fd, false)
    }
    for (const set of [setReceiveBuffer, setSendBuffer, setReceiveLowWater]) set(fd, 4096)
    for (const seconds of [0, 5, undefined]) setLinger(fd, seconds)
    setSendTimeout(fd, 1500)
    setIpv6Only(keep(socket('ipv6')))
    expect(() => setReceiveTimeout(fd, -1)).toThrow(RangeError)
  })

  it('give up a blocking receive after its timeout', () => {
    const [a] = socketpair().map(keep) as [number, number]
    setReceiveTimeout(a, 20)
    expect(recv(a, new Uint8Array(1), 0, 1)).toBe(-EAGAIN)
  })

  it('share a port with SO_REUSEPORT', () => {
    const first = keep(socket('ipv4'))
    setReusePort(first)
    bind(first, loopback)
    listen(first, 1)
    const second = keep(socket('ipv4'))
    setReusePort(second)
    bind(second, getsockname(first))
    expect(getsockname(second)).toEqual(getsockname(first))
  })
})

describe('sendv and readv', () => {
  it('send all buffers in one call', () => {
    const [a, b] = socketpair().map(keep) as [number, number]
    expect(sendv(a, [bytes('one '), bytes(''), bytes('- two -').subarray(2, 5), bytes(' three')])).toBe(13)
    const [left, right] = [new Uint8Array(4), new Uint8Array(32)]
    expect(readv(b, [left, right])).toBe(13)
    expect(text(left, 4) + text(right, 9)).toBe('one two three')
  })

  it('send the first buffers when a count is given', () => {
    const [a] = socketpair().map(keep) as [number, number]
    expect(sendv(a, [bytes('ab'), bytes('cd'), bytes('ef')], 2)).toBe(4)
    expect(() => sendv(a, [bytes('ab')], 2)).toThrow(RangeError)
    expect(() => sendv(a, [detached()])).toThrow(/detached/)
    expect(() => sendv(a, ['text' as unknown as Uint8Array])).toThrow(TypeError)
  })

  it('take at most IOV_MAX buffers a call', () => {
    const [a] = socketpair().map(keep) as [number, number]
    expect(sendv(a, Array<Uint8Array>(2 * IOV_MAX).fill(bytes('x')))).toBe(IOV_MAX)
  })

  it('deliver every byte in order through partial writes', () => {
    const [a, b] = socketpair({ nonblocking: true }).map(keep) as [number, number]
    const data = Uint8Array.from({ length: 3_000_017 }, (_, i) => i % 251)
    const buffers = [data.subarray(0, 1_000_003), data.subarray(1_000_003, 1_000_004), data.subarray(1_000_004)]
    const received = new Uint8Array(data.length)
    let partial = 0
    for (let sent = 0, got = 0; got < data.length; ) {
      const rest = remaining(buffers, sent)
      const n = rest.length > 0 ? sendv(a, rest) : -EAGAIN
      if (n >= 0 && n < data.length - sent) partial++
      sent += Math.max(0, n)
      got += Math.max(0, recv(b, received, got, received.length - got))
    }
    expect(partial).toBeGreaterThan(0)
    expect(Buffer.compare(received, data)).toBe(0)
  })
})

function remaining(buffers: readonly Uint8Array[], skip: number): readonly Uint8Array[] {
  let before = 0
  return buffers.flatMap((buffer) => {
    const rest = buffer.subarray(Math.max(0, skip - before))
    before += buffer.length
    return rest.length > 0 ? [rest] : []
  })
}

describe('errors of set-up calls', () => {
  it('have the shape of node and say what to do', () => {
    const first = listenOn(loopback)
    const address = getsockname(first) as SocketAddress & { port: number }
    const second = keep(socket('ipv4'))
    try {
      bind(second, address)
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(PosixError)
      expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', address: '127.0.0.1', port: address.port })
      const { errno, message } = error as PosixError
      expect(errorName(errno)).toBe('EADDRINUSE')
      expect(message).toContain(`bind 127.0.0.1:${address.port}: address already in use (EADDRINUSE)`)
      expect(message).toContain('choose another port')
    }
  })

  it('name a directory that is missing and an address that is not ours', () => {
    const unix = keep(socket('unix'))
    expect(() => bind(unix, { family: 'unix', path: '/nowhere/s' })).toThrow(/bind \/nowhere\/s.*ENOENT.*make it first/)
    const fd = keep(socket('ipv4'))
    expect(() => bind(fd, { family: 'ipv4', host: '192.0.2.1', port: 0 })).toThrow(/EADDRNOTAVAIL.*no interface/)
    expect(() => listen(-1, 1)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'listen' }))
    expect(() => setNonBlocking(-1, true)).toThrow(/fcntl.*EBADF/)
  })
})

describe('bounds', () => {
  const calls = { recv, send, read, write, recvPeek }

  for (const [name, call] of Object.entries(calls)) {
    it(`of ${name} are checked before the system is called`, () => {
      const buffer = new Uint8Array(16)
      const wrong = [
        [0, 17],
        [17, 0],
        [16, 1],
        [-1, 1],
        [0, -1],
        [1.5, 1],
        [0, 1.5],
        [Number.NaN, 1],
        [0, Number.NaN],
      ]
      wrong.push([2 ** 32, 1], [0, 2 ** 32], [Number.POSITIVE_INFINITY, 0])
      for (const [offset, length] of wrong) {
        expect(() => call(-1, buffer, offset as number, length as number)).toThrow(RangeError)
      }
      expect(() => call(-1, detached(), 0, 1)).toThrow(/detached/)
      expect(() => call(-1, detached(), 0, 0)).toThrow(/detached/)
      expect(() => call(-1, 'text' as unknown as Uint8Array, 0, 1)).toThrow(TypeError)
      expect(() => call(-1, new Int32Array(8) as unknown as Uint8Array, 0, 1)).toThrow(TypeError)
      for (const fd of [Number.NaN, 1.5, 2 ** 31]) expect(() => call(fd, buffer, 0, 1)).toThrow(/descriptor/)
      expect(errorName(call(-1, buffer, 16, 0))).toBe('EBADF')
    })
  }
})
