/** epoll(7): the kernel remembers which descriptors are of interest and lists those that are ready. Linux only. */
import { descriptor, integer, natural, timeout } from './bounds.js'
import { check, declare, outcome } from './ffi.js'
import { platform } from './platform.js'

const c = declare({
  epoll_create1: 'int epoll_create1(int flags)',
  epoll_ctl: 'int epoll_ctl(int epfd, int op, int fd, void* event)',
  epoll_wait: 'int epoll_wait(int epfd, void* events, int capacity, int timeout)',
})

export const EPOLL_CTL_ADD: number = 1
export const EPOLL_CTL_DEL: number = 2
export const EPOLL_CTL_MOD: number = 3

/** Bytes, a connection or end of stream can be read. */
export const EPOLLIN: number = 0x1
/** Bytes can be written. */
export const EPOLLOUT: number = 0x4
/** An error is pending (always told). */
export const EPOLLERR: number = 0x8
/** Both directions are closed (always told). */
export const EPOLLHUP: number = 0x10
/** The peer will send no more. */
export const EPOLLRDHUP: number = 0x2000
/** Wake one of several epoll descriptors that watch the same file, not all (only with EPOLL_CTL_ADD). */
export const EPOLLEXCLUSIVE: number = 1 << 28
/** Tell once, then stay silent until EPOLL_CTL_MOD arms the descriptor again. */
export const EPOLLONESHOT: number = 1 << 30
/** Edge-triggered: tell a change, not a state. Negative as a JavaScript number, because it is the top bit. */
export const EPOLLET: number = 1 << 31

const stride = platform.epollStride
const data = platform.epollData

/** Room for the events of one epoll_wait; it hides the layout of `struct epoll_event`. Belongs to one thread. */
export class EpollEvents {
  /** The most events that one call tells. */
  readonly capacity: number
  /** The structures as the kernel writes them; for epoll_wait alone. */
  readonly words: Int32Array

  /** Makes room for `capacity` events, from 1 on. @throws RangeError */
  constructor(capacity: number) {
    this.capacity = natural(capacity, 'capacity', 1)
    this.words = new Int32Array(capacity * stride)
  }

  /** Returns the descriptor of event `i`, or the tag it was given instead; `i` is below what epoll_wait returned. */
  fd(i: number): number {
    return this.words[i * stride + data] as number
  }

  /** Returns the EPOLL… bits of event `i`, which is below what epoll_wait returned. */
  events(i: number): number {
    return this.words[i * stride] as number
  }
}

/** Makes an epoll descriptor, close-on-exec. Any thread. man 2 epoll_create1 @throws PosixError, UnsupportedError */
export function epoll_create1(): number {
  return check(c.epoll_create1(platform.O_CLOEXEC), 'epoll_create1')
}

const event = new Int32Array(4)

/**
 * Adds, changes or removes (EPOLL_CTL_…) what is told of `fd`: 0 or -errno. Any thread, during a wait too. man 2 epoll_ctl
 *
 * @param tag what the events tell in the place of `fd`
 */
export function epoll_ctl(epfd: number, op: number, fd: number, events: number, tag: number = fd): number {
  event[0] = events
  event[data] = integer(tag, 'tag')
  return outcome(c.epoll_ctl(descriptor(epfd), integer(op, 'op'), descriptor(fd), event))
}

/**
 * Waits until something is ready and fills `events`; returns how many, 0 after `timeoutMs` (-1: for ever, 0: not at
 * all), or a negative errno. Any thread, each with EpollEvents of its own. man 2 epoll_wait
 *
 * @param most how many events are told at most, from 1 to the capacity (default)
 */
export function epoll_wait(
  epfd: number,
  events: EpollEvents,
  timeoutMs: number,
  most: number = events.capacity,
): number {
  return outcome(c.epoll_wait(descriptor(epfd), events.words, Math.min(most, events.capacity), timeout(timeoutMs)))
}
