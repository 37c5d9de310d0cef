import {
  close,
  EEXIST,
  EINTR,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLET,
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
import { type Demultiplexer, READABLE, type Trigger, WOKEN, WRITABLE } from './demultiplexer.js'
import { Wakeup, type WakeupKind } from './wakeup.js'

/** Descriptors that one wait reports at most; the rest are reported by the next. */
const EVENTS = 512

export interface EpollSettings {
  /** Default: 'level'. */
  readonly trigger?: Trigger
  /** Default: 'eventfd'. */
  readonly wakeup?: WakeupKind
  /** The epoll of another thread, which may add and modify but must not wait. Default: one of its own. */
  readonly epfd?: number
}

/** epoll(7): the kernel keeps the set, a wait costs what is ready and not what is watched. */
export class EpollDemultiplexer implements Demultiplexer {
  readonly name = 'epoll'
  readonly trigger: Trigger
  readonly limit: number = Number.POSITIVE_INFINITY
  readonly epfd: number
  readonly descriptors: readonly number[]
  readonly #events = new EpollEvents(EVENTS)
  readonly #flags: number
  readonly #wakeupKind: WakeupKind | undefined
  #wakeup: Wakeup | undefined
  /** True for a wakeup that takes only so many signals before somebody drains it. */
  #fills = false

  constructor({ trigger = 'level', wakeup, epfd = epoll_create1() }: EpollSettings = {}) {
    this.trigger = trigger
    this.epfd = epfd
    this.descriptors = [epfd]
    this.#flags = trigger === 'edge' ? EPOLLET : 0
    this.#wakeupKind = wakeup
  }

  add(fd: number, interest: number): void {
    this.#control(EPOLL_CTL_ADD, fd, mask(interest) | this.#flags)
  }

  modify(fd: number, interest: number): void {
    this.#control(EPOLL_CTL_MOD, fd, mask(interest) | this.#flags)
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

  /** The kernel took it out of the set when the last descriptor of the open file was closed. */
  closed(_fd: number): void {}

  wait(timeoutMs: number): number {
    const n = epoll_wait(this.epfd, this.#events, timeoutMs)
    if (n < 0 && n !== -EINTR) throw new PosixError('epoll_wait', n)
    if (this.#fills) this.#drain(n)
    return Math.max(n, 0)
  }

  fd(i: number): number {
    return this.#events.fd(i)
  }

  ready(i: number): number {
    const events = this.#events.events(i)
    if (events & (EPOLLERR | EPOLLHUP)) return READABLE | WRITABLE
    return (events & EPOLLIN ? READABLE : 0) | (events & EPOLLOUT ? WRITABLE : 0)
  }

  get wakeup(): Wakeup {
    if (this.#wakeup === undefined) {
      this.#wakeup = Wakeup.open(this.#wakeupKind)
      this.#fills = this.#wakeup.kind !== 'eventfd' // which, edge-triggered, tells each signal once and needs no draining
      epoll_ctl(this.epfd, EPOLL_CTL_ADD, this.#wakeup.fd, EPOLLIN | EPOLLET, WOKEN)
    }
    return this.#wakeup
  }

  wake(): void {
    this.wakeup.signal()
  }

  close(): void {
    this.#wakeup?.close()
    close(this.epfd)
  }

  #drain(n: number): void {
    for (let i = 0; i < n; i++) if (this.fd(i) === WOKEN) this.#wakeup!.drain()
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
