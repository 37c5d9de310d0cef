import {
  EBADF,
  ENOENT,
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_ENABLE,
  EV_ERROR,
  EVFILT_READ,
  EVFILT_WRITE,
  type KeventList,
  PosixError,
} from '../posix/index.js'
import { type Demultiplexer, READABLE, type Trigger, WOKEN, WRITABLE } from './demultiplexer.js'
import { type Kqueue, type KqueueBackend, openKqueue } from './kqueue/kqueue.js'
import { Wakeup, type WakeupKind } from './wakeup.js'

/** Events that one wait takes at most; the rest are taken by the next. */
const EVENTS = 1024

/** Descriptors for which there is room at first. */
const ROOM = 1024

/** What is known of a descriptor, beside READABLE and WRITABLE for what it is to be watched for. */
const APPLIED = 2 // bits to the left: the same two for what the queue watches it for
const BOTH = READABLE | WRITABLE
const WATCHED = 16
/** It stands in the list of changes. */
const CHANGED = 32
/** It is added even if the queue has it: it may be another file by now, or is to be told anew. */
const ANEW = 64

export interface KqueueSettings {
  /** Default: 'level'. */
  readonly trigger?: Trigger
  /** Default: 'eventfd', on macOS 'pipe'. */
  readonly wakeup?: WakeupKind
  /** Default: 'auto'. */
  readonly backend?: KqueueBackend | 'auto'
}

/**
 * kqueue(2): what is watched for and what is ready go through one call. Changes are gathered and go with the next wait,
 * which sees the last state of each descriptor only.
 */
export class KqueueDemultiplexer implements Demultiplexer {
  readonly name = 'kqueue'
  readonly trigger: Trigger
  readonly limit: number = Number.POSITIVE_INFINITY
  readonly backend: KqueueBackend
  readonly descriptors: readonly number[]
  readonly #kqueue: Kqueue
  readonly #addFlags: number
  readonly #wakeupKind: WakeupKind | undefined
  #wakeup: Wakeup | undefined
  #changes: KeventList
  #events: KeventList
  #state: Uint8Array = new Uint8Array(ROOM)
  /** The descriptors with CHANGED, and some that are closed by now. */
  #changed: Int32Array = new Int32Array(ROOM)
  #changedCount = 0
  /** What the last wait reported, and where each descriptor stands in it. */
  #fds: Int32Array = new Int32Array(EVENTS)
  #ready: Uint8Array = new Uint8Array(EVENTS)
  #count = 0
  #place: Int32Array = new Int32Array(ROOM)

  constructor({ trigger = 'level', wakeup, backend = 'auto' }: KqueueSettings = {}) {
    this.trigger = trigger
    this.#kqueue = openKqueue(backend)
    this.backend = this.#kqueue.backend
    this.descriptors = this.#kqueue.descriptors
    this.#addFlags = EV_ADD | EV_ENABLE | (trigger === 'edge' ? EV_CLEAR : 0)
    this.#wakeupKind = wakeup
    this.#changes = this.#kqueue.list(EVENTS)
    this.#events = this.#kqueue.list(EVENTS)
  }

  add(fd: number, interest: number): void {
    if ((fd | 0) !== fd || fd < 0) throw new PosixError('kevent', -EBADF, String(fd))
    if (fd >= this.#state.length) this.#grow(fd + 1)
    this.#want(fd, interest | WATCHED | ANEW)
  }

  modify(fd: number, interest: number): void {
    if (!this.#isWatched(fd)) throw new PosixError('kevent', -ENOENT, String(fd))
    this.#want(fd, interest | WATCHED | (this.trigger === 'edge' ? ANEW : 0))
  }

  remove(fd: number): void {
    if (this.#isWatched(fd)) this.#want(fd, 0)
  }

  closed(fd: number): void {
    if (fd >= this.#state.length) return
    this.#state[fd] = (this.#state[fd] as number) & CHANGED
    this.#kqueue.closed(fd)
  }

  wait(timeoutMs: number): number {
    this.#count = 0
    const changes = this.#gather()
    let n = this.#kqueue.kevent(this.#changes, changes, this.#events, this.#events.capacity, timeoutMs)
    if (n > 0 && this.#events.flags(0) & EV_ERROR) {
      // Nothing but what failed was told, and nothing waited for.
      for (let i = 0; i < n; i++) this.#failed(i)
      n = this.#kqueue.kevent(this.#changes, 0, this.#events, this.#room, this.#count > 0 ? 0 : timeoutMs)
    }
    for (let i = 0; i < n; i++) this.#report(this.#events.ident(i), bit(this.#events.filter(i)))
    return this.#count
  }

  fd(i: number): number {
    return this.#fds[i] as number
  }

  ready(i: number): number {
    return this.#ready[i] as number
  }

  get wakeup(): Wakeup {
    if (this.#wakeup === undefined) {
      this.#wakeup = Wakeup.open(this.#wakeupKind)
      this.add(this.#wakeup.fd, READABLE)
    }
    return this.#wakeup
  }

  wake(): void {
    this.wakeup.signal()
  }

  close(): void {
    this.#wakeup?.close()
    this.#kqueue.close()
  }

  get #room(): number {
    return Math.max(1, this.#events.capacity - this.#count)
  }

  #isWatched(fd: number): boolean {
    return fd >= 0 && fd < this.#state.length && ((this.#state[fd] as number) & WATCHED) !== 0
  }

  #want(fd: number, wanted: number): void {
    const former = this.#state[fd] as number
    this.#state[fd] = wanted | (former & ((BOTH << APPLIED) | CHANGED | (wanted === 0 ? 0 : ANEW))) | CHANGED
    if (former & CHANGED) return
    if (this.#changedCount === this.#changed.length) this.#changed = twice(this.#changed)
    this.#changed[this.#changedCount++] = fd
  }

  /** Writes the changes since the last wait; returns how many. */
  #gather(): number {
    const most = 2 * this.#changedCount
    if (most > this.#changes.capacity) {
      this.#changes = this.#kqueue.list(2 * most)
      this.#events = this.#kqueue.list(2 * most) // each change may fail, and is told if there is room
      this.#fds = new Int32Array(2 * most)
      this.#ready = new Uint8Array(2 * most)
    }
    let n = 0
    for (let i = 0; i < this.#changedCount; i++) n = this.#gatherOne(this.#changed[i] as number, n)
    this.#changedCount = 0
    return n
  }

  #gatherOne(fd: number, start: number): number {
    const state = this.#state[fd] as number
    const wanted = state & BOTH
    const applied = (state >> APPLIED) & BOTH
    const added = state & ANEW ? wanted : wanted & ~applied
    const deleted = applied & ~wanted
    let n = start
    if (deleted & READABLE) this.#changes.set(n++, fd, EVFILT_READ, EV_DELETE)
    if (deleted & WRITABLE) this.#changes.set(n++, fd, EVFILT_WRITE, EV_DELETE)
    if (added & READABLE) this.#changes.set(n++, fd, EVFILT_READ, this.#addFlags)
    if (added & WRITABLE) this.#changes.set(n++, fd, EVFILT_WRITE, this.#addFlags)
    this.#state[fd] = (state & WATCHED) | wanted | (wanted << APPLIED)
    return n
  }

  /** Takes up that change `i` failed: a deletion because it was gone, an addition because it cannot be watched. */
  #failed(i: number): void {
    const fd = this.#events.ident(i)
    const interest = bit(this.#events.filter(i))
    const state = this.#state[fd] as number
    if ((state & interest) === 0) return
    this.#state[fd] = state & ~(interest << APPLIED)
    this.#report(fd, interest) // whoever reads or writes next meets the error
  }

  #report(fd: number, ready: number): void {
    const place = this.#place[fd] as number
    if (place < this.#count && this.#fds[place] === fd) {
      this.#ready[place] = (this.#ready[place] as number) | ready
      return
    }
    this.#place[fd] = this.#count
    this.#fds[this.#count] = fd === this.#wakeup?.fd ? this.#woken() : fd
    this.#ready[this.#count++] = ready
  }

  #woken(): number {
    this.#wakeup?.drain()
    return WOKEN
  }

  #grow(least: number): void {
    const room = Math.max(least, 2 * this.#state.length)
    const state = new Uint8Array(room)
    state.set(this.#state)
    this.#state = state
    this.#place = new Int32Array(room)
  }
}

function bit(filter: number): number {
  return filter === EVFILT_READ ? READABLE : WRITABLE
}

function twice(list: Int32Array): Int32Array {
  const longer = new Int32Array(2 * list.length)
  longer.set(list)
  return longer
}
