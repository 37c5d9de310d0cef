/**
 * EVFILT_READ and EVFILT_WRITE by epoll. Both filters of a descriptor are one registration there, with two exceptions to
 * which epoll forces: what is edge-triggered in epoll is so for both, and a change on one side tells the other again. So
 * WRITE stands in a second epoll, nested in the first, wherever one of the two has EV_CLEAR.
 *
 * Differs from kqueue in this: `data` is asked of the system when it is asked for, not when the event happened; `fflags` of
 * an event with EV_EOF is 0, because Linux tells a socket's error only by taking it away; regular files are refused (EPERM);
 * a descriptor that was closed while a duplicate of it lives on stays in the epoll, and its events are dropped.
 */
import {
  EBADF,
  EEXIST,
  ENOENT,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_DISPATCH,
  EV_ENABLE,
  EV_EOF,
  EV_ONESHOT,
  EVFILT_READ,
  EVFILT_WRITE,
  epoll_ctl,
  type KeventList,
} from '../../posix/index.js'

const KEPT = EV_ADD | EV_ONESHOT | EV_CLEAR | EV_DISPATCH
const ARMED = EV_ADD | EV_DISABLE
const ENDED = EPOLLERR | EPOLLHUP
const TO_READ = EPOLLIN | EPOLLRDHUP | ENDED
const TO_WRITE = EPOLLOUT | ENDED

/** Descriptors for which there is room at first. */
const ROOM = 1024

/** One of the two epolls, and what each descriptor is registered for there; 0 is not at all. */
interface Registry {
  readonly epfd: number
  masks: Int32Array
}

/** One of the two filters: EV_ADD where there is a knote, EV_DISABLE, and the flags it was added with; by descriptor. */
interface Notes {
  flags: Uint8Array
  udata: Float64Array
}

export class Readiness {
  readonly #main: Registry
  readonly #aside: Registry
  readonly #read: Notes
  readonly #write: Notes
  #room = 0

  /** Takes the epoll that is waited for, and the one nested in it. */
  constructor(epfd: number, asideFd: number) {
    this.#main = { epfd, masks: new Int32Array(0) }
    this.#aside = { epfd: asideFd, masks: new Int32Array(0) }
    this.#read = { flags: new Uint8Array(0), udata: new Float64Array(0) }
    this.#write = { flags: new Uint8Array(0), udata: new Float64Array(0) }
    this.#grow(ROOM)
  }

  /** Applies a change: 0 or a negative errno. */
  change(fd: number, filter: number, flags: number, udata: number): number {
    if ((fd | 0) !== fd || fd < 0) return -EBADF
    if (fd >= this.#room) this.#grow(fd + 1)
    const notes = filter === EVFILT_READ ? this.#read : this.#write
    const former = notes.flags[fd] as number
    if ((flags & EV_ADD) === 0 && former === 0) return -ENOENT
    if (flags & EV_ADD) {
      notes.flags[fd] = (flags & KEPT) | (flags & EV_DISABLE)
      notes.udata[fd] = udata
    } else if (flags & EV_DELETE) notes.flags[fd] = 0
    else if (flags & EV_ENABLE) notes.flags[fd] = former & ~EV_DISABLE
    else if (flags & EV_DISABLE) notes.flags[fd] = former | EV_DISABLE
    const result = this.#register(fd, notes, (flags & (EV_ADD | EV_ENABLE)) !== 0)
    if (result < 0) notes.flags[fd] = 0
    return result
  }

  /** Writes what epoll told of a descriptor to entry `n` and the one after it; returns how many events that made. */
  collect(fd: number, bits: number, events: KeventList, n: number, capacity: number): number {
    if (fd >= this.#room) return 0
    const { masks } = this.#main
    let count = 0
    if (bits & TO_READ && (masks[fd] as number) & EPOLLIN) {
      count += this.#tell(this.#read, fd, EVFILT_READ, bits & (EPOLLRDHUP | ENDED), events, n)
    }
    // Without room it is left out: what shares a registration is level-triggered, so it comes again.
    if (bits & TO_WRITE && (masks[fd] as number) & EPOLLOUT && n + count < capacity) {
      count += this.#tell(this.#write, fd, EVFILT_WRITE, bits & ENDED, events, n + count)
    }
    return count
  }

  /** Writes what the nested epoll told to entry `n`; returns how many events that made. */
  collectAside(fd: number, bits: number, events: KeventList, n: number): number {
    if (fd >= this.#room || ((this.#aside.masks[fd] as number) & EPOLLOUT) === 0) return 0
    return this.#tell(this.#write, fd, EVFILT_WRITE, bits & ENDED, events, n)
  }

  /** Forgets a descriptor that was closed, as the epolls have. */
  closed(fd: number): void {
    if (fd >= this.#room) return
    this.#read.flags[fd] = this.#write.flags[fd] = 0
    this.#main.masks[fd] = this.#aside.masks[fd] = 0
  }

  #tell(notes: Notes, fd: number, filter: number, ended: number, events: KeventList, n: number): number {
    const flags = notes.flags[fd] as number
    const udata = notes.udata[fd] as number
    events.set(n, fd, filter, (flags & ~EV_ADD) | (ended === 0 ? 0 : EV_EOF), 0, 0, udata)
    if (flags & (EV_ONESHOT | EV_DISPATCH)) {
      notes.flags[fd] = flags & EV_ONESHOT ? 0 : flags | EV_DISABLE
      this.#register(fd, notes, false)
    }
    return 1
  }

  /** Brings the epolls in line with the filters; `again` has what is ready reported even if it was before. */
  #register(fd: number, changed: Notes, again: boolean): number {
    const reads = isArmed(this.#read, fd)
    const writes = isArmed(this.#write, fd)
    const apart = (((this.#read.flags[fd] as number) | (this.#write.flags[fd] as number)) & EV_CLEAR) !== 0
    const main = (reads ? EPOLLIN | EPOLLRDHUP | edge(this.#read, fd) : 0) | (writes && !apart ? EPOLLOUT : 0)
    const aside = writes && apart ? EPOLLOUT | edge(this.#write, fd) : 0
    const anew = again && (changed === this.#read || !apart)
    const result = this.#control(this.#main, fd, main, anew) || this.#control(this.#aside, fd, aside, again && !anew)
    if (result === -ENOENT && this.#forgetStale(fd, changed)) return this.#register(fd, changed, again)
    if (again && result === 0 && !isArmed(changed, fd)) return this.#probe(fd)
    return result
  }

  /** Changes a registration: 0 or a negative errno. */
  #control({ epfd, masks }: Registry, fd: number, mask: number, anew: boolean): number {
    const former = masks[fd] as number
    if (mask === former && (!anew || mask === 0)) return 0
    if (mask === 0) {
      masks[fd] = 0
      return epoll_ctl(epfd, EPOLL_CTL_DEL, fd, 0)
    }
    let result = epoll_ctl(epfd, former === 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, mask)
    if (result === -EEXIST) result = epoll_ctl(epfd, EPOLL_CTL_MOD, fd, mask)
    masks[fd] = result < 0 ? 0 : mask
    return result
  }

  /**
   * The number was another file's when it was registered: drops what is left of that one, but what is being added now.
   * False where there was nothing to add.
   */
  #forgetStale(fd: number, changed: Notes): boolean {
    const flags = changed.flags[fd] as number
    for (const { epfd, masks } of [this.#main, this.#aside]) {
      const mask = masks[fd] as number
      if (mask !== 0 && epoll_ctl(epfd, EPOLL_CTL_MOD, fd, mask) < 0) masks[fd] = 0
    }
    const main = this.#main.masks[fd] as number
    if ((main & EPOLLIN) === 0) this.#read.flags[fd] = 0
    if (((main | (this.#aside.masks[fd] as number)) & EPOLLOUT) === 0) this.#write.flags[fd] = 0
    changed.flags[fd] = flags
    return (flags & ARMED) === EV_ADD
  }

  /** Tells whether a descriptor that is added disabled, and so not registered, can be watched at all. */
  #probe(fd: number): number {
    const { epfd } = this.#main
    const result = epoll_ctl(epfd, EPOLL_CTL_ADD, fd, 0)
    if (result === 0) epoll_ctl(epfd, EPOLL_CTL_DEL, fd, 0)
    return result === -EEXIST ? 0 : result
  }

  #grow(least: number): void {
    const room = Math.max(least, 2 * this.#room)
    for (const registry of [this.#main, this.#aside]) registry.masks = grown(new Int32Array(room), registry.masks)
    for (const notes of [this.#read, this.#write]) {
      notes.flags = grown(new Uint8Array(room), notes.flags)
      notes.udata = grown(new Float64Array(room), notes.udata)
    }
    this.#room = room
  }
}

function grown<T extends Int32Array | Uint8Array | Float64Array>(into: T, former: T): T {
  into.set(former)
  return into
}

function isArmed({ flags }: Notes, fd: number): boolean {
  return ((flags[fd] as number) & ARMED) === EV_ADD
}

function edge({ flags }: Notes, fd: number): number {
  return (flags[fd] as number) & EV_CLEAR ? EPOLLET : 0
}
