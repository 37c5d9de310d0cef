import {
  appendFileSync,
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { kqueueBackend, openKqueue } from '@cs/core/demux'
import {
  close,
  EBADF,
  EINVAL,
  ENOENT,
  ENOTSUP,
  ESRCH,
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_DISPATCH,
  EV_ENABLE,
  EV_EOF,
  EV_ERROR,
  EV_ONESHOT,
  EV_RECEIPT,
  EVFILT_PROC,
  EVFILT_READ,
  EVFILT_SIGNAL,
  EVFILT_TIMER,
  EVFILT_USER,
  EVFILT_VNODE,
  EVFILT_WRITE,
  NOTE_ABSTIME,
  NOTE_ATTRIB,
  NOTE_DELETE,
  NOTE_EXEC,
  NOTE_EXIT,
  NOTE_EXTEND,
  NOTE_FFAND,
  NOTE_FFCOPY,
  NOTE_FFOR,
  NOTE_FORK,
  NOTE_LINK,
  NOTE_MSECONDS,
  NOTE_NSECONDS,
  NOTE_RENAME,
  NOTE_REVOKE,
  NOTE_SECONDS,
  NOTE_TRIGGER,
  NOTE_USECONDS,
  NOTE_WRITE,
  pipe2,
  recv,
  SHUT_WR,
  send,
  shutdown,
  socketpair,
  write,
} from '@cs/core/posix'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { bytes, closeAll, connected, keep, run } from '../posix/support.js'
import { backends, LONG, openQueue, type Queue } from './kqueue-queue.js'

afterEach(closeAll)

const buffer = new Uint8Array(1 << 16)

function pair(): [number, number] {
  const [a, b] = socketpair({ nonblocking: true })
  return [keep(a), keep(b)]
}

/** Sends until nothing more fits. */
function fill(fd: number): void {
  while (send(fd, buffer, 0, buffer.length) > 0);
}

function drain(fd: number): void {
  while (recv(fd, buffer, 0, buffer.length) > 0);
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'cs-kqueue-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return path
}

describe.each(backends)('READ and WRITE of kqueue, %s', (backend) => {
  it('tell what is ready with how much, level-triggered', () => {
    const queue = openQueue(backend)
    const [a, b] = pair()
    queue.apply({ ident: a, filter: EVFILT_READ, flags: EV_ADD, udata: 7 })
    expect(queue.ready()).toEqual([])
    send(b, bytes('12345'), 0, 5)
    expect(queue.kevent([], LONG)).toEqual([
      { ident: a, filter: EVFILT_READ, flags: expect.any(Number), fflags: 0, data: 5, udata: 7 },
    ])
    expect(queue.ready()).toEqual([[EVFILT_READ, a]])
    recv(a, buffer, 0, 5)
    expect(queue.ready()).toEqual([])
  })

  it('are two filters of one descriptor', () => {
    const queue = openQueue(backend)
    const [a, b] = pair()
    const both = [EVFILT_READ, EVFILT_WRITE].map((filter) => ({ ident: a, filter, flags: EV_ADD, udata: -filter }))
    expect(queue.kevent(both, LONG)).toMatchObject([{ filter: EVFILT_WRITE, udata: 2 }])
    send(b, bytes('x'), 0, 1)
    expect(queue.kevent([], LONG)).toMatchObject([
      { filter: EVFILT_READ, udata: 1, data: 1 },
      { filter: EVFILT_WRITE, udata: 2 },
    ])
    expect(queue.kevent([], LONG)[1]?.data).toBeGreaterThan(0)
    fill(a)
    expect(queue.ready()).toEqual([[EVFILT_READ, a]])
    queue.apply({ ident: a, filter: EVFILT_READ, flags: EV_DELETE })
    expect(queue.ready()).toEqual([])
    drain(b)
    expect(queue.ready()).toEqual([[EVFILT_WRITE, a]])
  })

  it('tell no more than there is room for, and the rest next time', () => {
    const queue = openQueue(backend)
    const [a, b] = pair()
    send(b, bytes('x'), 0, 1)
    const changes = [EVFILT_READ, EVFILT_WRITE].map((filter) => ({ ident: a, filter, flags: EV_ADD | EV_CLEAR }))
    queue.kevent(changes, 0, 0)
    const told = [queue.kevent([], LONG, 1), queue.kevent([], LONG, 1)].flat().map(({ filter }) => filter)
    expect(told.sort()).toEqual([EVFILT_READ, EVFILT_WRITE])
    expect(queue.ready()).toEqual([])
  })

  it('tell nothing twice and lose no edge where there is room for a part', () => {
    const queue = openQueue(backend)
    const level = Array.from({ length: 3 }, pair)
    const [edge, other] = pair()
    for (const [a, b] of [...level, [edge, other] as const]) {
      send(b, bytes('x'), 0, 1)
      const flags = a === edge ? EV_ADD | EV_CLEAR : EV_ADD
      queue.apply({ ident: a, filter: EVFILT_READ, flags })
      if (a !== edge) queue.apply({ ident: a, filter: EVFILT_WRITE, flags })
    }
    let edges = 0
    for (let i = 0; i < 20; i++) {
      const told = queue.kevent([], LONG, 4)
      expect(told.length).toBeLessThanOrEqual(4)
      edges += told.filter(({ ident }) => ident === edge).length
    }
    expect(edges).toBe(1)
  })

  it('tell a connection that waits, and the end of what is sent', () => {
    const queue = openQueue(backend)
    const { listener, client, server } = connected()
    queue.apply({ ident: listener, filter: EVFILT_READ, flags: EV_ADD })
    queue.apply({ ident: server, filter: EVFILT_READ, flags: EV_ADD })
    expect(queue.ready()).toEqual([])
    send(client, bytes('x'), 0, 1)
    shutdown(client, SHUT_WR)
    let event = queue.next()
    while ((event.flags & EV_EOF) === 0) event = queue.next()
    expect(event).toMatchObject({ ident: server, data: 1 })
  })

  it('tell whoever writes that the reader is gone', () => {
    const queue = openQueue(backend)
    const [reader, writer] = pipe2({ nonblocking: true })
    keep(writer)
    while (write(writer, buffer, 0, buffer.length) > 0);
    queue.apply({ ident: writer, filter: EVFILT_WRITE, flags: EV_ADD })
    expect(queue.ready()).toEqual([])
    close(reader)
    expect(queue.next()).toMatchObject({
      ident: writer,
      filter: EVFILT_WRITE,
      flags: expect.toSatisfy((flags) => (flags & EV_EOF) !== 0),
    })
  })

  it('with EV_CLEAR tell each change once, and again where they are added again', () => {
    const queue = openQueue(backend)
    const [a, b] = pair()
    const add = { ident: a, filter: EVFILT_READ, flags: EV_ADD | EV_CLEAR }
    send(b, bytes('x'), 0, 1)
    expect(queue.kevent([add], LONG)).toHaveLength(1)
    expect(queue.ready()).toEqual([])
    send(b, bytes('x'), 0, 1)
    expect(queue.kevent([], LONG)).toMatchObject([{ data: 2 }])
    expect(queue.ready()).toEqual([])
    expect(queue.kevent([add], LONG)).toMatchObject([{ data: 2 }])
  })

  it('keep EV_CLEAR apart: a change on one side does not tell the other again', () => {
    const queue = openQueue(backend)
    const [a, b] = pair()
    queue.apply({ ident: a, filter: EVFILT_READ, flags: EV_ADD | EV_CLEAR })
    expect(queue.kevent([{ ident: a, filter: EVFILT_WRITE, flags: EV_ADD | EV_CLEAR }], LONG)).toHaveLength(1)
    send(b, bytes('x'), 0, 1)
    expect(queue.ready()).toEqual([[EVFILT_READ, a]])
    fill(a)
    drain(b)
    expect(queue.ready()).toEqual([[EVFILT_WRITE, a]])
    expect(queue.ready()).toEqual([])
  })

  it.for([
    [EVFILT_READ, EVFILT_WRITE],
    [EVFILT_WRITE, EVFILT_READ],
  ] as const)('with EV_CLEAR leave the other one level-triggered (%i, %i)', ([edge, level]) => {
    const queue = openQueue(backend)
    const [a, b] = pair()
    send(b, bytes('x'), 0, 1)
    queue.apply({ ident: a, filter: level, flags: EV_ADD })
    expect(queue.ready()).toEqual([[level, a]])
    queue.apply({ ident: a, filter: edge, flags: EV_ADD | EV_CLEAR })
    expect(queue.ready()).toHaveLength(2)
    expect([queue.ready(), queue.ready()]).toEqual([[[level, a]], [[level, a]]])
    queue.apply({ ident: a, filter: edge, flags: EV_DELETE })
    expect(queue.ready()).toEqual([[level, a]])
  })

  it('with EV_ONESHOT are deleted, with EV_DISPATCH disabled, each on its own', () => {
    const queue = openQueue(backend)
    const [a, b] = pair()
    send(b, bytes('x'), 0, 1)
    const changes = [
      { ident: a, filter: EVFILT_READ, flags: EV_ADD | EV_ONESHOT },
      { ident: a, filter: EVFILT_WRITE, flags: EV_ADD | EV_DISPATCH },
    ]
    expect(queue.kevent(changes, LONG)).toHaveLength(2)
    expect(queue.ready()).toEqual([])
    expect(() => queue.apply({ ident: a, filter: EVFILT_READ, flags: EV_ENABLE })).toThrow(
      expect.objectContaining({ code: 'ENOENT', syscall: 'kevent' }),
    )
    expect(queue.kevent([{ ident: a, filter: EVFILT_WRITE, flags: EV_ENABLE }], LONG)).toMatchObject([
      { filter: EVFILT_WRITE },
    ])
    expect(queue.ready()).toEqual([])
  })

  it('are silent while disabled', () => {
    const queue = openQueue(backend)
    const [a, b] = pair()
    send(b, bytes('x'), 0, 1)
    queue.apply({ ident: a, filter: EVFILT_READ, flags: EV_ADD | EV_DISABLE })
    expect(queue.ready()).toEqual([])
    queue.apply({ ident: a, filter: EVFILT_READ, flags: EV_ENABLE })
    expect(queue.ready()).toEqual([[EVFILT_READ, a]])
    queue.apply({ ident: a, filter: EVFILT_READ, flags: EV_DISABLE })
    close(b)
    expect(queue.ready()).toEqual([])
  })

  it('go with their descriptor, and do not come back with its number', (context) => {
    const queue = openQueue(backend)
    context.skip(backend === 'libkqueue', 'libkqueue keeps what it knew of a closed descriptor (its BUGS.md)')
    for (const flags of [EV_ADD, EV_ADD | EV_CLEAR]) {
      const [a, b] = socketpair({ nonblocking: true })
      const both = [EVFILT_READ, EVFILT_WRITE].map((filter) => ({ ident: a, filter, flags }))
      queue.kevent(both, 0, 0)
      close(a)
      close(b)
      expect(queue.ready()).toEqual([])
      const [c, d] = pair()
      expect(c).toBe(a) // the lowest number that is free
      send(d, bytes('x'), 0, 1)
      expect(queue.ready()).toEqual([])
      queue.apply({ ident: c, filter: EVFILT_READ, flags: EV_ADD | EV_ONESHOT })
      expect(queue.ready()).toEqual([[EVFILT_READ, c]])
      expect(queue.ready()).toEqual([])
      closeAll()
      queue.kq.closed(c)
    }
  })

  it('are forgotten where somebody says that their descriptor was closed', () => {
    const queue = openQueue(backend)
    const [a, b] = socketpair({ nonblocking: true })
    keep(b)
    queue.apply({ ident: a, filter: EVFILT_WRITE, flags: EV_ADD })
    close(a)
    queue.kq.closed(a)
    expect(queue.ready()).toEqual([])
    expect(() => queue.apply({ ident: a, filter: EVFILT_WRITE, flags: EV_DELETE })).toThrow(
      expect.objectContaining({ syscall: 'kevent' }),
    )
  })
})

describe.each(backends)('a change of kqueue that fails, %s', (backend) => {
  it('is told with its errno, and the others are applied', () => {
    const queue = openQueue(backend)
    const [a] = pair()
    const changes = [
      { ident: 1_000_000, filter: EVFILT_READ, flags: EV_ADD },
      { ident: a, filter: EVFILT_READ, flags: EV_DELETE },
      { ident: a, filter: EVFILT_WRITE, flags: EV_ADD },
    ]
    const error = { flags: expect.toSatisfy((flags) => (flags & EV_ERROR) !== 0) }
    expect(queue.kevent(changes, LONG)).toMatchObject([
      { ident: a, filter: EVFILT_READ, data: ENOENT, ...error },
      { ident: 1_000_000, filter: EVFILT_READ, data: EBADF, ...error },
    ])
    expect(queue.ready()).toEqual([[EVFILT_WRITE, a]])
  })

  it('is thrown where there is no room to tell it', () => {
    const queue = openQueue(backend)
    const refused = { ident: 1_000_000, filter: EVFILT_READ, flags: EV_ADD | EV_DISABLE }
    expect(() => queue.apply(refused)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'kevent' }))
    expect(() => queue.apply({ ident: 1, filter: EVFILT_TIMER, flags: EV_DELETE })).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    )
  })

  it('is answered all the same with EV_RECEIPT, and nothing else is then', () => {
    const queue = openQueue(backend)
    const [a] = pair()
    const changes = [
      { ident: a, filter: EVFILT_WRITE, flags: EV_ADD | EV_RECEIPT, udata: 3 },
      { ident: a, filter: EVFILT_READ, flags: EV_DELETE | EV_RECEIPT },
    ]
    expect(queue.kevent(changes, LONG)).toMatchObject([
      { filter: EVFILT_READ, data: ENOENT },
      { filter: EVFILT_WRITE, data: 0, udata: 3, flags: expect.toSatisfy((flags) => (flags & EV_ERROR) !== 0) },
    ])
    expect(queue.ready()).toEqual([[EVFILT_WRITE, a]])
  })

  it('is one of a filter that there is not', () => {
    const queue = openQueue(backend)
    expect(queue.kevent([{ ident: 1, filter: -100, flags: EV_ADD }], 0)).toMatchObject([{ data: EINVAL }])
  })
})

describe.each(backends)('TIMER of kqueue, %s', (backend) => {
  it.for([
    ['milliseconds', 0, 2],
    ['NOTE_MSECONDS', NOTE_MSECONDS, 2],
    ['NOTE_USECONDS', NOTE_USECONDS, 2000],
    ['NOTE_NSECONDS', NOTE_NSECONDS, 2_000_000],
  ] as const)('expires again and again: %s', ([, fflags, data]) => {
    const queue = openQueue(backend)
    queue.apply({ ident: 2 ** 33, filter: EVFILT_TIMER, flags: EV_ADD, fflags, data, udata: 5 })
    let count = 0
    while (count < 3) {
      const event = queue.next()
      expect(event).toMatchObject({ ident: 2 ** 33, filter: EVFILT_TIMER, udata: 5 })
      expect(event.data).toBeGreaterThan(0)
      count += event.data
    }
    queue.apply({ ident: 2 ** 33, filter: EVFILT_TIMER, flags: EV_DELETE })
    expect(queue.kevent([], 5)).toEqual([])
  })

  it('counts what nobody took', () => {
    const queue = openQueue(backend)
    queue.apply({ ident: 1, filter: EVFILT_TIMER, flags: EV_ADD, fflags: NOTE_USECONDS, data: 100 })
    const until = performance.now() + 20
    while (performance.now() < until);
    expect(queue.next().data).toBeGreaterThan(1)
  })

  it('expires in the order of time, once with EV_ONESHOT', () => {
    const queue = openQueue(backend)
    const changes = [30, 10, 20].map((data) => ({
      ident: data,
      filter: EVFILT_TIMER,
      flags: EV_ADD | EV_ONESHOT,
      data,
    }))
    queue.kevent(changes, 0, 0)
    const told = new Set<number>()
    while (told.size < 3) for (const { ident } of queue.kevent([], LONG)) told.add(ident)
    expect([...told]).toEqual([10, 20, 30])
    expect(queue.kevent([{ ident: 10, filter: EVFILT_TIMER, flags: EV_DELETE }], 0)).toMatchObject([{ data: ENOENT }])
  })

  it('is started anew by adding it again', () => {
    const queue = openQueue(backend)
    queue.apply({ ident: 1, filter: EVFILT_TIMER, flags: EV_ADD, fflags: NOTE_SECONDS, data: 3600 })
    queue.apply({ ident: 1, filter: EVFILT_TIMER, flags: EV_ADD | EV_ONESHOT, data: 1, udata: 4 })
    expect(queue.next()).toMatchObject({ ident: 1, data: 1, udata: 4 })
    expect(queue.kevent([], 5)).toEqual([])
  })

  it('is held back while disabled, and with EV_DISPATCH after it was told', () => {
    const queue = openQueue(backend)
    const timer = { ident: 1, filter: EVFILT_TIMER }
    queue.apply({ ...timer, flags: EV_ADD | EV_DISABLE | EV_DISPATCH, data: 1 })
    expect(queue.kevent([], 5)).toEqual([])
    for (let i = 0; i < 2; i++) {
      queue.apply({ ...timer, flags: EV_ENABLE })
      expect(queue.next()).toMatchObject(timer)
      expect(queue.kevent([], 5)).toEqual([])
    }
  })

  it('takes a time of the wall clock, one that is past at once', () => {
    const queue = openQueue(backend)
    const timer = { filter: EVFILT_TIMER, flags: EV_ADD, fflags: NOTE_ABSTIME | NOTE_SECONDS }
    const seconds = Math.floor(Date.now() / 1000)
    queue.apply({ ...timer, ident: 1, data: seconds + 3600 })
    queue.apply({ ...timer, ident: 2, data: seconds - 1 })
    expect(queue.next()).toMatchObject({ ident: 2, data: 1 })
    expect(queue.kevent([], 5)).toEqual([])
  })
})

describe.each(backends)('USER of kqueue, %s', (backend) => {
  const user = { ident: 9, filter: EVFILT_USER }

  it('is triggered by a change', () => {
    const queue = openQueue(backend)
    queue.apply({ ...user, flags: EV_ADD | EV_CLEAR, udata: 3 })
    expect(queue.ready()).toEqual([])
    queue.apply({ ...user, fflags: NOTE_TRIGGER, udata: 3 })
    expect(queue.kevent([], LONG)).toMatchObject([{ ...user, udata: 3 }])
    expect(queue.ready()).toEqual([])
  })

  it('stays triggered without EV_CLEAR', () => {
    const queue = openQueue(backend)
    queue.apply({ ...user, flags: EV_ADD })
    queue.apply({ ...user, fflags: NOTE_TRIGGER })
    const [a, b] = pair()
    send(b, bytes('x'), 0, 1)
    queue.apply({ ident: a, filter: EVFILT_READ, flags: EV_ADD })
    const all = [
      [EVFILT_READ, a],
      [EVFILT_USER, 9],
    ]
    expect([queue.ready(), queue.ready()]).toEqual([all, all])
    queue.apply({ ...user, flags: EV_DELETE })
    expect(queue.ready()).toEqual([[EVFILT_READ, a]])
  })

  it('waits while disabled, and goes with EV_ONESHOT', () => {
    const queue = openQueue(backend)
    queue.apply({ ...user, flags: EV_ADD | EV_ONESHOT })
    queue.apply({ ...user, flags: EV_DISABLE })
    queue.apply({ ...user, fflags: NOTE_TRIGGER })
    expect(queue.ready()).toEqual([])
    queue.apply({ ...user, flags: EV_ENABLE })
    expect(queue.ready()).toEqual([[EVFILT_USER, 9]])
    expect(() => queue.apply({ ...user, fflags: NOTE_TRIGGER })).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  })

  it('carries 24 bits, which a change copies, joins or cuts', () => {
    const queue = openQueue(backend)
    queue.apply({ ...user, flags: EV_ADD | EV_CLEAR })
    const bits = (fflags: number) => queue.kevent([{ ...user, fflags: fflags | NOTE_TRIGGER }], LONG)[0]?.fflags
    expect(bits(NOTE_FFCOPY | 0b1100)).toBe(0b1100)
    expect(bits(NOTE_FFOR | 0b0011)).toBe(0b1111)
    expect(bits(NOTE_FFAND | 0b0110)).toBe(0b0110)
    expect(bits(0b1000)).toBe(0b0110)
  })
})

describe.each(backends)('SIGNAL of kqueue, %s', (backend) => {
  it('tells a signal that was sent to the thread', () => {
    openQueue(backend)
    const source = `
      import { constants } from 'node:os'
      import { openKqueue } from '@cs/core/demux'
      import { EV_ADD, EV_DELETE, EV_ONESHOT, EVFILT_SIGNAL, getpid, gettid, SIG_BLOCK, sigprocmask, tgkill } from '@cs/core/posix'
      const { SIGUSR1, SIGUSR2 } = constants.signals
      if (${backend !== 'emulated'}) process.on('SIGUSR1', () => {}).on('SIGUSR2', () => {})
      const kq = openKqueue('${backend}'), changes = kq.list(2), events = kq.list(4)
      const wait = (n) => Array.from({ length: kq.kevent(changes, n, events, 4, n < 0 ? 0 : 1000) }, (_, i) => [events.filter(i) === EVFILT_SIGNAL, events.ident(i), events.data(i), events.udata(i)])
      changes.set(0, SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0, 0, 8)
      changes.set(1, SIGUSR2, EVFILT_SIGNAL, EV_ADD | EV_ONESHOT, 0, 0, 9)
      kq.kevent(changes, 2, events, 0, 0)
      const send = (signal) => tgkill(getpid(), gettid(), signal)
      const told = []
      send(SIGUSR1), told.push(...wait(0))
      send(SIGUSR2), told.push(...wait(0))
      const silent = kq.kevent(changes, 0, events, 4, 5)
      send(SIGUSR1), told.push(...wait(0))
      kq.close()
      console.log(JSON.stringify({ told, silent, blocked: sigprocmask(SIG_BLOCK, []) }))`
    expect(run(source)).toEqual({
      told: [
        [true, constants.signals.SIGUSR1, 1, 8],
        [true, constants.signals.SIGUSR2, 1, 9],
        [true, constants.signals.SIGUSR1, 1, 8],
      ],
      silent: 0,
      blocked: [],
    })
  })

  it('is refused for what is no signal', () => {
    const queue = openQueue(backend)
    const changes = [0, 65, 1.5].map((ident) => ({ ident, filter: EVFILT_SIGNAL, flags: EV_ADD }))
    expect(queue.kevent(changes.slice(0, 2), 0)).toMatchObject([{ data: EINVAL }, { data: EINVAL }])
  })
})

describe.each(backends)('PROC of kqueue, %s', (backend) => {
  it('tells that a process ended, and how', () => {
    openQueue(backend)
    const source = `
      import { openKqueue } from '@cs/core/demux'
      import { _exit, EV_ADD, EV_DELETE, EV_EOF, EV_ERROR, EVFILT_PROC, fork, kill, NOTE_EXIT, pipe2, read, waitpid, write } from '@cs/core/posix'
      const kq = openKqueue('${backend}'), changes = kq.list(2), events = kq.list(4)
      const [reader, writer] = pipe2(), byte = new Uint8Array(1)
      const child = () => { const pid = fork(); if (pid === 0) { read(reader, byte, 0, 1); _exit(7) }; return pid }
      const told = [], next = (n) => { for (let tries = 0; tries < 5 && kq.kevent(changes, n, events, 4, ${LONG}) === 0; tries++) n = 0; told.push([events.filter(0) === EVFILT_PROC, events.data(0), events.udata(0), events.fflags(0) & NOTE_EXIT ? 1 : 0, events.flags(0) & EV_EOF ? 1 : 0, events.ident(0)]) }
      const [first, second] = [child(), child()]
      changes.set(0, first, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, 1)
      changes.set(1, second, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, 2)
      const running = kq.kevent(changes, 2, events, 4, 5)
      kill(first, 9)
      next(0)
      write(writer, byte, 0, 1)
      next(0)
      const again = kq.kevent(changes, 0, events, 4, 5)
      changes.set(0, first, EVFILT_PROC, EV_DELETE)
      kq.kevent(changes, 1, events, 1, 0)
      const deleted = [events.flags(0) === EV_ERROR, events.data(0)]
      const codes = [waitpid(first).signal, waitpid(second).code]
      console.log(JSON.stringify({ running, told: told.map((t) => [...t.slice(0, 5), t[5] === first || t[5] === second]), again, deleted, codes }))
      kq.close()`
    expect(run(source, ['--single-threaded'])).toEqual({
      running: 0,
      told: [
        [true, 9, 1, 1, 1, true],
        [true, 7 << 8, 2, 1, 1, true],
      ],
      again: 0,
      deleted: [true, ENOENT],
      codes: [9, 7],
    })
  })

  it('is refused for a process that is not there', () => {
    const queue = openQueue(backend)
    const change = { ident: 0x3fffff + 1, filter: EVFILT_PROC, flags: EV_ADD, fflags: NOTE_EXIT }
    expect(queue.kevent([change], 0)).toMatchObject([{ data: ESRCH }])
  })

  it('of Linux is refused for what Linux does not tell', (context) => {
    const queue = openQueue(backend)
    context.skip(backend !== 'emulated', 'kqueue tells it, libkqueue ignores it')
    const changes = [NOTE_FORK, NOTE_EXEC, NOTE_EXIT | NOTE_FORK].map((fflags) => {
      return { ident: process.pid, filter: EVFILT_PROC, flags: EV_ADD, fflags }
    })
    const refused = { data: ENOTSUP }
    expect(queue.kevent(changes, 0)).toMatchObject([refused, refused, refused])
  })
})

describe.each(backends)('VNODE of kqueue, %s', (backend) => {
  const ALL = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME

  /** A file of one byte that is watched, and what happened to it since it was asked for last. */
  function watched(queue: Queue, fflags: number, flags = EV_ADD | EV_CLEAR) {
    const path = join(folder(), 'file')
    writeFileSync(path, 'x')
    const fd = keep(openSync(path, 'r'))
    queue.apply({ ident: fd, filter: EVFILT_VNODE, flags, fflags, udata: 6 })
    return { path, fd, notes: () => queue.kevent([], 0).map((event) => event.fflags) }
  }

  it('tells what happens to a file', () => {
    const queue = openQueue(backend)
    const { path, fd, notes } = watched(queue, ALL)
    expect(notes()).toEqual([])
    appendFileSync(path, 'y')
    expect(queue.kevent([], LONG)).toMatchObject([
      { ident: fd, filter: EVFILT_VNODE, fflags: NOTE_WRITE | NOTE_EXTEND, udata: 6 },
    ])
    expect(notes()).toEqual([])
    chmodSync(path, 0o600)
    expect(notes()).toEqual([NOTE_ATTRIB])
    linkSync(path, `${path}.link`)
    expect(notes()).toEqual([NOTE_LINK])
    unlinkSync(`${path}.link`)
    expect((notes()[0] as number) & NOTE_LINK).toBe(NOTE_LINK)
    renameSync(path, `${path}.other`)
    expect(notes()).toEqual([NOTE_RENAME])
    unlinkSync(`${path}.other`)
    expect((notes()[0] as number) & NOTE_DELETE).toBe(NOTE_DELETE)
  })

  it('tells that a file was cut as a write', () => {
    const queue = openQueue(backend)
    const { path, notes } = watched(queue, NOTE_WRITE | NOTE_EXTEND)
    truncateSync(path)
    expect(notes()).toEqual([NOTE_WRITE])
  })

  it('tells only what was asked for, as long as nobody clears it', () => {
    const queue = openQueue(backend)
    const { path, fd, notes } = watched(queue, NOTE_ATTRIB, EV_ADD)
    appendFileSync(path, 'y')
    expect(notes()).toEqual([])
    chmodSync(path, 0o600)
    expect([notes(), notes()]).toEqual([[NOTE_ATTRIB], [NOTE_ATTRIB]])
    queue.apply({ ident: fd, filter: EVFILT_VNODE, flags: EV_DISABLE })
    expect(notes()).toEqual([])
    queue.apply({ ident: fd, filter: EVFILT_VNODE, flags: EV_ENABLE })
    expect(notes()).toEqual([NOTE_ATTRIB])
    queue.apply({ ident: fd, filter: EVFILT_VNODE, flags: EV_DELETE })
    expect(notes()).toEqual([])
  })

  it('tells of a directory that names came and went', () => {
    const queue = openQueue(backend)
    const path = folder()
    const fd = keep(openSync(path, 'r'))
    queue.apply({ ident: fd, filter: EVFILT_VNODE, flags: EV_ADD | EV_CLEAR, fflags: NOTE_WRITE | NOTE_LINK })
    const notes = () => queue.kevent([], 0).map((event) => event.fflags)
    writeFileSync(join(path, 'name'), '')
    expect(notes()).toEqual([NOTE_WRITE])
    unlinkSync(join(path, 'name'))
    expect(notes()).toEqual([NOTE_WRITE])
    mkdirSync(join(path, 'directory'))
    expect(notes()).toEqual([NOTE_WRITE | NOTE_LINK])
  })

  it('tells two descriptors of one file, each what it asked for', () => {
    const queue = openQueue(backend)
    const { path, fd } = watched(queue, NOTE_WRITE)
    const other = keep(openSync(path, 'r'))
    queue.apply({ ident: other, filter: EVFILT_VNODE, flags: EV_ADD | EV_CLEAR, fflags: NOTE_ATTRIB })
    appendFileSync(path, 'y')
    chmodSync(path, 0o600)
    expect(queue.kevent([], LONG)).toMatchObject([
      { ident: fd, fflags: NOTE_WRITE },
      { ident: other, fflags: NOTE_ATTRIB },
    ])
    queue.apply({ ident: fd, filter: EVFILT_VNODE, flags: EV_DELETE })
    chmodSync(path, 0o644)
    expect(queue.kevent([], LONG)).toMatchObject([{ ident: other }])
  })

  it('of Linux keeps no watch that nobody asks for', (context) => {
    const queue = openQueue(backend)
    context.skip(backend !== 'emulated', 'it looks at how the emulation does it')
    const watches = () =>
      readdirSync('/proc/self/fdinfo').flatMap((fd) => {
        try {
          return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').match(/^inotify wd/gm) ?? []
        } catch {
          return [] // the one that listed them
        }
      }).length
    const before = watches()
    const [first, second] = [watched(queue, NOTE_WRITE), watched(queue, NOTE_WRITE)]
    expect(watches()).toBe(before + 2)
    queue.apply({ ident: first.fd, filter: EVFILT_VNODE, flags: EV_DELETE })
    expect(watches()).toBe(before + 1)
    queue.kq.closed(second.fd)
    expect(watches()).toBe(before)
  })

  it('goes with its descriptor, whatever is opened at its number', () => {
    const queue = openQueue(backend)
    const path = join(folder(), 'file')
    writeFileSync(path, 'x')
    const fd = openSync(path, 'r')
    queue.apply({ ident: fd, filter: EVFILT_VNODE, flags: EV_ADD | EV_CLEAR, fflags: ALL })
    closeSync(fd)
    const other = keep(openSync(folder(), 'r'))
    expect(other).toBe(fd)
    appendFileSync(path, 'y')
    expect(queue.kevent([], 0)).toEqual([])
  })

  it('of Linux is refused for what Linux does not tell, and for what is no file', (context) => {
    const queue = openQueue(backend)
    context.skip(backend !== 'emulated', 'the others are not so strict')
    const fd = keep(openSync(folder(), 'r'))
    const vnode = { filter: EVFILT_VNODE, flags: EV_ADD }
    expect(queue.kevent([{ ...vnode, ident: fd, fflags: NOTE_REVOKE }], 0)).toMatchObject([{ data: ENOTSUP }])
    expect(queue.kevent([{ ...vnode, ident: pair()[0], fflags: NOTE_WRITE }], 0)).toMatchObject([{ data: EINVAL }])
    expect(queue.kevent([{ ...vnode, ident: 1_000_000, fflags: NOTE_WRITE }], 0)).toMatchObject([{ data: EBADF }])
  })
})

describe.each(backends)('a kqueue, %s', (backend) => {
  it('waits for what is first of all its filters', () => {
    const queue = openQueue(backend)
    const [a, b] = pair()
    const changes = [
      { ident: a, filter: EVFILT_READ, flags: EV_ADD },
      { ident: 1, filter: EVFILT_TIMER, flags: EV_ADD | EV_ONESHOT, data: 1 },
      { ident: 2, filter: EVFILT_USER, flags: EV_ADD | EV_CLEAR, fflags: NOTE_TRIGGER },
    ]
    expect(queue.kevent(changes.slice(0, 2), LONG)).toMatchObject([{ filter: EVFILT_TIMER }])
    send(b, bytes('x'), 0, 1)
    expect(queue.kevent([], LONG)).toMatchObject([{ filter: EVFILT_READ }])
    expect(queue.kevent([], 0, 0)).toEqual([])
  })

  it('leaves nothing when it is closed', () => {
    openQueue(backend)
    const source = `
      import { openSync, readdirSync } from 'node:fs'
      import { openKqueue } from '@cs/core/demux'
      import { EV_ADD, EV_CLEAR, EVFILT_PROC, EVFILT_READ, EVFILT_SIGNAL, EVFILT_TIMER, EVFILT_USER, EVFILT_VNODE, EVFILT_WRITE, NOTE_EXIT, NOTE_WRITE, SIG_BLOCK, sigprocmask, socketpair } from '@cs/core/posix'
      const [a] = socketpair(), file = openSync('.', 'r')
      const open = () => {
        const kq = openKqueue('${backend}'), changes = kq.list(8), events = kq.list(8)
        let n = 0
        changes.set(n++, a, EVFILT_READ, EV_ADD | EV_CLEAR)
        changes.set(n++, a, EVFILT_WRITE, EV_ADD | EV_CLEAR)
        changes.set(n++, 1, EVFILT_TIMER, EV_ADD, 0, 1)
        changes.set(n++, 12, EVFILT_SIGNAL, EV_ADD)
        changes.set(n++, 1, EVFILT_USER, EV_ADD)
        changes.set(n++, process.pid, EVFILT_PROC, EV_ADD, NOTE_EXIT)
        changes.set(n++, file, EVFILT_VNODE, EV_ADD, NOTE_WRITE)
        kq.kevent(changes, n, events, 0, 0)
        return kq
      }
      open().close()
      const before = readdirSync('/proc/self/fd').length
      for (let i = 0; i < 20; i++) open().close()
      console.log(JSON.stringify({ more: readdirSync('/proc/self/fd').length - before, blocked: sigprocmask(SIG_BLOCK, []) }))`
    expect(run(source)).toEqual({ more: 0, blocked: [] })
  })
})

describe('which kqueue there is', () => {
  it('is told without opening it, and is what auto opens', () => {
    const backend = kqueueBackend()
    if (backend === undefined)
      return expect(() => openKqueue()).toThrow(expect.objectContaining({ code: 'ERR_CS_UNSUPPORTED' }))
    const kq = openKqueue()
    onTestFinished(() => kq.close())
    expect(kq.backend).toBe(backend)
    if (process.platform === 'linux') expect(backend).toBe('emulated')
  })

  it('is refused by name where it is not', () => {
    const refusal = expect.objectContaining({ code: 'ERR_CS_UNSUPPORTED' })
    expect(() => openKqueue(process.platform === 'linux' ? 'native' : 'emulated')).toThrow(refusal)
  })
})
