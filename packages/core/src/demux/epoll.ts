import {
  close,
  EEXIST,
  EINTR,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EpollEvents,
  epoll_create1,
  epoll_ctl,
  epoll_wait,
  PosixError,
} from '../posix/index.js'
import { type Demultiplexer, READABLE, WRITABLE } from './demultiplexer.js'

/** Descriptors that one wait reports at most; the rest are reported by the next. */
const EVENTS = 512

/** epoll(7): the kernel keeps the set, a wait costs what is ready and not what is watched. */
export class EpollDemultiplexer implements Demultiplexer {
  readonly name = 'epoll'
  readonly epfd: number
  readonly #events = new EpollEvents(EVENTS)

  /** Opens an epoll of its own, or uses that of another thread, which may add and modify but must not wait. */
  constructor(epfd: number = epoll_create1()) {
    this.epfd = epfd
  }

  add(fd: number, interest: number): void {
    this.#control(EPOLL_CTL_ADD, fd, mask(interest))
  }

  modify(fd: number, interest: number): void {
    this.#control(EPOLL_CTL_MOD, fd, mask(interest))
  }

  /** Watches a descriptor until it is ready once, then not again before it is re-armed. Any thread. */
  addOnce(fd: number, interest: number): void {
    this.#control(EPOLL_CTL_ADD, fd, mask(interest) | EPOLLONESHOT)
  }

  /** Arms a descriptor again that has been reported by `addOnce` or this. Any thread. */
  rearm(fd: number, interest: number): void {
    this.#control(EPOLL_CTL_MOD, fd, mask(interest) | EPOLLONESHOT)
  }

  remove(fd: number): void {
    epoll_ctl(this.epfd, EPOLL_CTL_DEL, fd, 0)
  }

  wait(timeoutMs: number): number {
    const n = epoll_wait(this.epfd, this.#events, timeoutMs)
    if (n >= 0 || n === -EINTR) return Math.max(n, 0)
    throw new PosixError('epoll_wait', n)
  }

  fd(i: number): number {
    return this.#events.fd(i)
  }

  ready(i: number): number {
    const events = this.#events.events(i)
    if (events & (EPOLLERR | EPOLLHUP)) return READABLE | WRITABLE
    return (events & EPOLLIN ? READABLE : 0) | (events & EPOLLOUT ? WRITABLE : 0)
  }

  close(): void {
    close(this.epfd)
  }

  #control(op: number, fd: number, events: number): void {
    let result = epoll_ctl(this.epfd, op, fd, events)
    // A thread that died may have left it in an epoll that outlived it.
    if (result === -EEXIST) result = epoll_ctl(this.epfd, EPOLL_CTL_MOD, fd, events)
    if (result < 0) throw new PosixError('epoll_ctl', result)
  }
}

function mask(interest: number): number {
  return (interest & READABLE ? EPOLLIN : 0) | (interest & WRITABLE ? EPOLLOUT : 0)
}
