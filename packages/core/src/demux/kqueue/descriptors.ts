import {
  close,
  EPOLL_CTL_ADD,
  EPOLL_CTL_MOD,
  EPOLLIN,
  EPOLLONESHOT,
  epoll_ctl,
  type KeventList,
  PosixError,
} from '../../posix/index.js'

/** Writes what a descriptor of the queue's own stands for to entry `n` of the events; returns how many that made. */
export type Report = (events: KeventList, n: number) => number

interface Entry {
  readonly fd: number
  readonly report: Report
}

/**
 * The descriptors behind the filters of an emulated queue (timerfd, signalfd, pidfd, inotify), in its epoll under negative
 * tags, so that they are told from those of the user, which stand there under their own numbers.
 */
export class Descriptors {
  readonly #epfd: number
  readonly #entries = new Map<number, Entry>()
  #next = -1

  constructor(epfd: number) {
    this.#epfd = epfd
  }

  /** Takes over a descriptor, silent as yet, and returns its tag. @throws PosixError, with the descriptor closed */
  add(fd: number, report: Report): number {
    const tag = this.#unusedTag()
    // One-shot without an event: not even hang-ups are told.
    const result = epoll_ctl(this.#epfd, EPOLL_CTL_ADD, fd, EPOLLONESHOT, tag)
    if (result < 0) {
      close(fd)
      throw new PosixError('epoll_ctl', result)
    }
    this.#entries.set(tag, { fd, report })
    return tag
  }

  fd(tag: number): number {
    return this.#entries.get(tag)?.fd ?? -1
  }

  /** Has epoll tell of it while it is readable, or not at all. */
  arm(tag: number, on: boolean): void {
    const fd = this.fd(tag)
    if (fd >= 0) epoll_ctl(this.#epfd, EPOLL_CTL_MOD, fd, on ? EPOLLIN : EPOLLONESHOT, tag)
  }

  /** Writes the events of a tag; 0 for one that is gone. */
  report(tag: number, events: KeventList, n: number): number {
    return this.#entries.get(tag)?.report(events, n) ?? 0
  }

  /** Closes a descriptor, which takes it out of the epoll; does nothing where there is none. */
  remove(tag: number): void {
    const fd = this.fd(tag)
    if (fd < 0) return
    close(fd)
    this.#entries.delete(tag)
  }

  close(): void {
    for (const tag of this.#entries.keys()) this.remove(tag)
  }

  #unusedTag(): number {
    do this.#next = this.#next === -0x80000000 ? -1 : this.#next - 1
    while (this.#entries.has(this.#next))
    return this.#next
  }
}
