import {
  close,
  EAGAIN,
  EBADF,
  EEXIST,
  ENOENT,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLRDHUP,
  EpollEvents,
  epoll_create1,
  epoll_ctl,
  epoll_wait,
  eventfd,
  eventfdDrain,
  eventfdSignal,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  pipe2,
  poll,
  pollOne,
  read,
  socketpair,
  write,
} from '@cs/core/posix'
import { afterEach, describe, expect, it } from 'vitest'
import { bytes, closeAll, keep, run, text } from './support.js'

afterEach(closeAll)

describe('poll', () => {
  it('tells what one descriptor is ready for', () => {
    const [a, b] = socketpair().map(keep) as [number, number]
    expect(pollOne(a, POLLIN, 0)).toBe(0)
    expect(pollOne(a, POLLIN | POLLOUT, -1)).toBe(POLLOUT)
    write(b, bytes('x'), 0, 1)
    expect(pollOne(a, POLLIN, 5000)).toBe(POLLIN)
    expect(pollOne(999_999, POLLIN, 0)).toBe(POLLNVAL)
  })

  it('tells hang-up', () => {
    const [reader, writer] = pipe2()
    keep(reader)
    close(writer)
    expect(pollOne(reader, POLLIN, 5000)).toBe(POLLHUP)
  })

  it('marks the ready ones among many', () => {
    const eventfds = Array.from({ length: 200 }, () => keep(eventfd()))
    const pairs = new Int32Array(eventfds.flatMap((fd) => [fd, POLLIN]))
    for (const i of [3, 77, 199]) eventfdSignal(eventfds[i] as number)
    expect(poll(pairs, 200, 5000)).toBe(3)
    expect(eventfds.flatMap((_, i) => ((pairs[2 * i + 1] as number) >>> 16 ? [i] : []))).toEqual([3, 77, 199])
    expect(poll(pairs, 100, 5000)).toBe(2)
  })

  it('refuses a count beyond its array and a timeout that is no number', () => {
    expect(() => poll(new Int32Array(4), 3, 0)).toThrow(RangeError)
    expect(() => poll(new Int32Array(4), -1, 0)).toThrow(RangeError)
    expect(() => pollOne(0, POLLIN, Number.NaN)).toThrow(RangeError)
  })
})

describe.runIf(process.platform === 'linux')('epoll', () => {
  const setUp = () => ({ epoll: keep(epoll_create1()), events: new EpollEvents(64) })

  it('lists the ready ones among many with their own events', () => {
    const { epoll } = setUp()
    const events = new EpollEvents(1000)
    const fds = Array.from({ length: 500 }, () => keep(eventfd()))
    for (const fd of fds) expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN)).toBe(0)
    expect(epoll_wait(epoll, events, 0)).toBe(0)
    const signalled = fds.filter((_, i) => i % 3 === 0)
    for (const fd of signalled) eventfdSignal(fd)
    const n = epoll_wait(epoll, events, 5000)
    expect(n).toBe(signalled.length)
    const told = Array.from({ length: n }, (_, i) => events.fd(i)).sort((a, b) => a - b)
    expect(told).toEqual(signalled)
    expect(Array.from({ length: n }, (_, i) => events.events(i)).every((bits) => bits === EPOLLIN)).toBe(true)
  })

  it('tells no more than its capacity, and the rest next time', () => {
    const { epoll } = setUp()
    const events = new EpollEvents(4)
    for (let i = 0; i < 10; i++) epoll_ctl(epoll, EPOLL_CTL_ADD, keep(eventfd(1)), EPOLLIN | EPOLLET)
    expect([1, 2, 3, 4].map(() => epoll_wait(epoll, events, 0))).toEqual([4, 4, 2, 0])
  })

  it('tells level-triggered readiness again and edges once', () => {
    const { epoll, events } = setUp()
    const fd = keep(eventfd(1))
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN)
    expect([1, 2].map(() => epoll_wait(epoll, events, 0))).toEqual([1, 1])
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET)
    expect([1, 2].map(() => epoll_wait(epoll, events, 0))).toEqual([1, 0])
  })

  it('tells a one-shot once until it is armed again', () => {
    const { epoll, events } = setUp()
    const fd = keep(eventfd(1))
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT)
    expect([1, 2].map(() => epoll_wait(epoll, events, 0))).toEqual([1, 0])
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT)
    expect(epoll_wait(epoll, events, 0)).toBe(1)
  })

  it('tells a peer that hung up', () => {
    const { epoll, events } = setUp()
    const [a, b] = socketpair()
    epoll_ctl(epoll, EPOLL_CTL_ADD, keep(a), EPOLLOUT | EPOLLRDHUP)
    close(b)
    expect(epoll_wait(epoll, events, 5000)).toBe(1)
    expect(events.fd(0)).toBe(a)
    expect(events.events(0) & (EPOLLHUP | EPOLLRDHUP)).toBe(EPOLLHUP | EPOLLRDHUP)
  })

  it('returns errors as values', () => {
    const { epoll, events } = setUp()
    const fd = keep(eventfd())
    expect(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, EPOLLIN)).toBe(-ENOENT)
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN)).toBe(0)
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN)).toBe(-EEXIST)
    expect(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, 0)).toBe(0)
    expect(epoll_wait(-1, events, 0)).toBe(-EBADF)
    expect(() => new EpollEvents(0)).toThrow(RangeError)
  })

  it('wakes for a signal from another thread', () => {
    const source = `
      import { Worker } from 'node:worker_threads'
      import { epoll_create1, epoll_ctl, epoll_wait, EpollEvents, eventfd, EPOLLIN, EPOLL_CTL_ADD } from '@cs/core/posix'
      const epoll = epoll_create1(), fd = eventfd(), events = new EpollEvents(1)
      epoll_ctl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN)
      const code = "import('@cs/core/posix').then(({ eventfdSignal }) => eventfdSignal(" + fd + "))"
      new Worker(code, { eval: true })
      setImmediate(() => console.log(JSON.stringify([epoll_wait(epoll, events, -1), events.fd(0) === fd])))`
    expect(run(source)).toEqual([1, true])
  })
})

describe('pipes', () => {
  it('carry bytes', () => {
    const [reader, writer] = pipe2({ nonblocking: true }).map(keep) as [number, number]
    const buffer = new Uint8Array(8)
    expect(read(reader, buffer, 0, 8)).toBe(-EAGAIN)
    expect(write(writer, bytes('pipe'), 0, 4)).toBe(4)
    expect(read(reader, buffer, 0, 8)).toBe(4)
    expect(text(buffer, 4)).toBe('pipe')
  })

  it.runIf(process.platform === 'linux')('count in an eventfd', () => {
    const fd = keep(eventfd(5, { nonblocking: true }))
    expect([eventfdSignal(fd), eventfdSignal(fd), eventfdDrain(fd), eventfdDrain(fd)]).toEqual([0, 0, 7, -EAGAIN])
    expect(eventfdSignal(-1)).toBe(-EBADF)
  })
})
