/**
 * The interface of kqueue over one epoll: an emulation, and it says so. What the filters are made of, and where they differ
 * from kqueue, stands at the head of each filter's file. Unlike a kqueue it belongs to one thread.
 */

import {
  bytesToRead,
  bytesToSend,
  close,
  EINTR,
  EINVAL,
  EPOLL_CTL_ADD,
  EPOLLIN,
  EpollEvents,
  EV_ERROR,
  EV_RECEIPT,
  EVFILT_PROC,
  EVFILT_READ,
  EVFILT_SIGNAL,
  EVFILT_TIMER,
  EVFILT_USER,
  EVFILT_VNODE,
  EVFILT_WRITE,
  epoll_create1,
  epoll_ctl,
  epoll_wait,
  getSendBuffer,
  KeventList,
  keventTables,
  PosixError,
} from '../../posix/index.js'
import { Descriptors } from './descriptors.js'
import type { Knotes } from './knotes.js'
import type { Kqueue } from './kqueue.js'
import { processFilter } from './process.js'
import { Readiness } from './readiness.js'
import { signalFilter } from './signal.js'
import { timerFilter } from './timer.js'
import { UserFilter } from './user.js'
import { VnodeFilter } from './vnode.js'

/** Stands in the place of a descriptor where the nested epoll has something to tell. */
const ASIDE = -1

/** Events taken from epoll at once. */
const EVENTS = 512

export class EmulatedKqueue implements Kqueue {
  readonly backend = 'emulated'
  readonly descriptors: readonly number[]
  readonly #epfd: number
  readonly #asideFd: number
  readonly #ready = new EpollEvents(EVENTS)
  readonly #asideReady = new EpollEvents(EVENTS)
  readonly #own: Descriptors
  readonly #readiness: Readiness
  readonly #user = new UserFilter()
  readonly #vnode: VnodeFilter
  readonly #filters: ReadonlyMap<number, Knotes>

  constructor() {
    this.#epfd = epoll_create1()
    this.#asideFd = this.#nested()
    this.descriptors = [this.#epfd, this.#asideFd]
    this.#own = new Descriptors(this.#epfd)
    this.#readiness = new Readiness(this.#epfd, this.#asideFd)
    this.#vnode = new VnodeFilter(this.#own)
    this.#filters = new Map([
      [EVFILT_TIMER, timerFilter(this.#own)],
      [EVFILT_SIGNAL, signalFilter(this.#own)],
      [EVFILT_PROC, processFilter(this.#own)],
      [EVFILT_VNODE, this.#vnode.knotes],
      [EVFILT_USER, this.#user.knotes],
    ])
  }

  list(capacity: number): KeventList {
    return new KeventList(capacity, keventTables.emulated, measure)
  }

  kevent(changes: KeventList, nchanges: number, events: KeventList, capacity: number, timeoutMs: number): number {
    const told = this.#apply(changes, nchanges, events, capacity)
    return told > 0 || capacity === 0 ? told : this.#collect(events, capacity, timeoutMs)
  }

  closed(fd: number): void {
    this.#readiness.closed(fd)
    const file = this.#vnode.knotes.get(fd)
    if (file !== undefined) this.#vnode.knotes.delete(file)
  }

  close(): void {
    for (const knotes of this.#filters.values()) knotes.close()
    this.#own.close()
    close(this.#asideFd)
    close(this.#epfd)
  }

  #nested(): number {
    try {
      const fd = epoll_create1()
      epoll_ctl(this.#epfd, EPOLL_CTL_ADD, fd, EPOLLIN, ASIDE)
      return fd
    } catch (error) {
      close(this.#epfd)
      throw error
    }
  }

  #apply(changes: KeventList, nchanges: number, events: KeventList, capacity: number): number {
    let told = 0
    for (let i = 0; i < nchanges; i++) {
      const result = this.#change(changes, i)
      if (result === 0 && (changes.flags(i) & EV_RECEIPT) === 0) continue
      if (told < capacity) {
        events.set(told++, changes.ident(i), changes.filter(i), EV_ERROR, changes.fflags(i), -result, changes.udata(i))
      } else if (result < 0) throw new PosixError('kevent', result)
    }
    return told
  }

  #change(changes: KeventList, i: number): number {
    const ident = changes.ident(i)
    const filter = changes.filter(i)
    const flags = changes.flags(i)
    const udata = changes.udata(i)
    if (filter === EVFILT_READ || filter === EVFILT_WRITE) return this.#readiness.change(ident, filter, flags, udata)
    const knotes = this.#filters.get(filter)
    if (knotes === undefined) return -EINVAL
    return knotes.change({ ident, flags, fflags: changes.fflags(i), data: changes.data(i), udata })
  }

  #collect(events: KeventList, capacity: number, timeoutMs: number): number {
    const deadline = timeoutMs > 0 ? performance.now() + timeoutMs : 0
    let left = timeoutMs
    for (;;) {
      const n = this.#collectPending(events, capacity)
      if (n === capacity) return n
      // A descriptor may be ready both ways and fill two entries.
      const ready = epoll_wait(this.#epfd, this.#ready, n > 0 ? 0 : left, Math.max(1, (capacity - n) >> 1))
      if (ready < 0 && ready !== -EINTR) throw new PosixError('epoll_wait', ready)
      const end = this.#translate(ready, events, n, capacity)
      if (end > 0 || ready <= 0 || timeoutMs === 0) return end
      // What was ready had nothing to tell: it was taken, or is gone.
      if (timeoutMs > 0 && (left = deadline - performance.now()) <= 0) return 0
    }
  }

  #collectPending(events: KeventList, capacity: number): number {
    const n = this.#user.hasPending ? this.#user.collect(events, 0, capacity) : 0
    return this.#vnode.hasPending ? n + this.#vnode.collect(events, n, capacity) : n
  }

  #translate(ready: number, events: KeventList, n: number, capacity: number): number {
    let end = n
    let aside = false
    for (let i = 0; i < ready; i++) {
      const fd = this.#ready.fd(i)
      if (fd >= 0) end += this.#readiness.collect(fd, this.#ready.events(i), events, end, capacity)
      else if (fd === ASIDE) aside = true
      else end += this.#own.report(fd, events, end)
    }
    if (aside) end = this.#translateAside(events, end, capacity)
    if (end === 0 && this.#vnode.hasPending) end += this.#vnode.collect(events, end, capacity)
    return end
  }

  #translateAside(events: KeventList, n: number, capacity: number): number {
    if (n === capacity) return n
    let end = n
    const ready = epoll_wait(this.#asideFd, this.#asideReady, 0, capacity - n)
    for (let i = 0; i < ready; i++) {
      end += this.#readiness.collectAside(this.#asideReady.fd(i), this.#asideReady.events(i), events, end)
    }
    return end
  }
}

/**
 * How much can be read or, of a socket, about how much written. 1 where Linux does not say: how many connections a listening
 * socket has ready, and what is neither socket nor pipe.
 */
function measure(fd: number, filter: number): number {
  if (filter === EVFILT_READ) {
    const bytes = bytesToRead(fd)
    return bytes < 0 ? 1 : bytes
  }
  const unsent = bytesToSend(fd)
  return unsent < 0 ? 1 : Math.max(0, getSendBuffer(fd) - unsent)
}
