import { EINTR, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, PosixError, poll } from '../posix/index.js'
import { type Demultiplexer, READABLE, type Trigger, WOKEN, WRITABLE } from './demultiplexer.js'
import { Wakeup, type WakeupKind } from './wakeup.js'

/** Descriptors for which there is room at first; it doubles as they come. */
const FIRST_ROOM = 64

export interface PollSettings {
  /** Default: 'eventfd'. */
  readonly wakeup?: WakeupKind
}

/** poll(2): a dense array of `struct pollfd`, handed over whole for each wait and searched after it. */
export class PollDemultiplexer implements Demultiplexer {
  readonly name = 'poll'
  readonly trigger: Trigger = 'level'
  readonly limit: number = Number.POSITIVE_INFINITY
  readonly descriptors: readonly number[] = []
  /** Pairs of a descriptor and its events, with what is ready in the high half of the second. */
  #pairs = new Int32Array(2 * FIRST_ROOM)
  #count = 0
  /** Where a descriptor stands among the pairs, plus one; 0 where it does not. */
  #places = new Int32Array(FIRST_ROOM)
  #fds = new Int32Array(FIRST_ROOM)
  #ready = new Uint8Array(FIRST_ROOM)
  readonly #wakeupKind: WakeupKind | undefined
  #wakeup: Wakeup | undefined

  constructor({ wakeup }: PollSettings = {}) {
    this.#wakeupKind = wakeup
  }

  add(fd: number, interest: number): void {
    if (this.#placeOf(fd) < 0) this.#append(fd)
    this.modify(fd, interest)
  }

  modify(fd: number, interest: number): void {
    const place = this.#placeOf(fd)
    if (place < 0) throw new RangeError(`descriptor ${fd} is not watched`)
    this.#pairs[2 * place + 1] = (interest & READABLE ? POLLIN : 0) | (interest & WRITABLE ? POLLOUT : 0)
  }

  /** The last pair takes the place of the one that goes, so that the array stays dense. */
  remove(fd: number): void {
    const place = this.#placeOf(fd)
    if (place < 0) return
    const last = --this.#count
    this.#pairs.copyWithin(2 * place, 2 * last, 2 * last + 2)
    this.#places[this.#pairs[2 * place]] = place + 1
    this.#places[fd] = 0
  }

  closed(fd: number): void {
    this.remove(fd)
  }

  wait(timeoutMs: number): number {
    if (this.#fds.length < this.#count) {
      this.#fds = new Int32Array(this.#pairs.length / 2)
      this.#ready = new Uint8Array(this.#pairs.length / 2)
    }
    const n = poll(this.#pairs, this.#count, timeoutMs)
    if (n > 0) return this.#collect(n)
    if (n < 0 && n !== -EINTR) throw new PosixError('poll', n)
    return 0
  }

  fd(i: number): number {
    return this.#fds[i]
  }

  ready(i: number): number {
    return this.#ready[i]
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
  }

  #placeOf(fd: number): number {
    return (fd < this.#places.length ? this.#places[fd] : 0) - 1
  }

  #append(fd: number): void {
    if (fd >= this.#places.length) this.#places = grown(this.#places, fd + 1)
    if (2 * this.#count === this.#pairs.length) this.#pairs = grown(this.#pairs, this.#pairs.length + 1)
    this.#pairs[2 * this.#count] = fd
    this.#places[fd] = ++this.#count
  }

  /** Searches the pairs, from the last, until all that are ready are found. */
  #collect(n: number): number {
    let count = 0
    for (let place = this.#count - 1; n > 0; place--) {
      const events = this.#pairs[2 * place + 1] >>> 16
      if (events === 0) continue
      n--
      const fd = this.#pairs[2 * place]
      if (events & POLLNVAL) {
        this.remove(fd) // it was closed; the pair that takes its place has been looked at
        continue
      }
      this.#ready[count] = readiness(events)
      this.#fds[count++] = this.#found(fd)
    }
    return count
  }

  #found(fd: number): number {
    if (fd !== this.#wakeup?.fd) return fd
    this.#wakeup.drain()
    return WOKEN
  }
}

function readiness(events: number): number {
  if (events & (POLLERR | POLLHUP)) return READABLE | WRITABLE
  return (events & POLLIN ? READABLE : 0) | (events & POLLOUT ? WRITABLE : 0)
}

/** A copy with room for `length` cells at least, and then some. */
function grown(cells: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(2 ** Math.ceil(Math.log2(length)))
  copy.set(cells)
  return copy
}
