import { EBADF, EINTR, FD_SETSIZE, FdSet, isOpen, PosixError, select } from '../posix/index.js'
import { type Demultiplexer, READABLE, type Trigger, WOKEN, WRITABLE } from './demultiplexer.js'
import { Wakeup, type WakeupKind } from './wakeup.js'

export interface SelectSettings {
  /** Default: 'eventfd'. */
  readonly wakeup?: WakeupKind
}

/** select(2): three sets of bits, rebuilt for each wait and searched after it; descriptors from FD_SETSIZE on are in none. */
export class SelectDemultiplexer implements Demultiplexer {
  readonly name = 'select'
  readonly trigger: Trigger = 'level'
  readonly limit: number = FD_SETSIZE
  readonly descriptors: readonly number[] = []
  readonly #watched = new FdSet()
  /** What is wanted, and what a wait makes of it. */
  readonly #reads = new FdSet()
  readonly #writes = new FdSet()
  readonly #excepts = new FdSet()
  readonly #readable = new FdSet()
  readonly #writable = new FdSet()
  readonly #exceptional = new FdSet()
  readonly #fds = new Int32Array(FD_SETSIZE)
  readonly #wakeupKind: WakeupKind | undefined
  #wakeup: Wakeup | undefined
  #highest = -1

  constructor({ wakeup }: SelectSettings = {}) {
    this.#wakeupKind = wakeup
  }

  add(fd: number, interest: number): void {
    this.#watched.add(fd)
    if (fd > this.#highest) this.#highest = fd
    this.#want(fd, interest)
  }

  modify(fd: number, interest: number): void {
    if (!this.#watched.has(fd)) throw new RangeError(`descriptor ${fd} is not watched`)
    this.#want(fd, interest)
  }

  remove(fd: number): void {
    this.#watched.remove(fd)
    this.#want(fd, 0)
    while (this.#highest >= 0 && !this.#watched.has(this.#highest)) this.#highest--
  }

  closed(fd: number): void {
    this.remove(fd)
  }

  wait(timeoutMs: number): number {
    this.#readable.copy(this.#reads)
    this.#writable.copy(this.#writes)
    this.#exceptional.copy(this.#excepts)
    const n = select(this.#highest + 1, this.#readable, this.#writable, this.#exceptional, timeoutMs)
    if (n > 0) return this.#collect()
    if (n === -EBADF) this.#forgetClosed()
    else if (n < 0 && n !== -EINTR) throw new PosixError('select', n)
    return 0
  }

  fd(i: number): number {
    return this.#fds[i]
  }

  ready(i: number): number {
    const fd = this.#fds[i]
    if (fd === WOKEN || this.#exceptional.has(fd)) return READABLE
    return (this.#readable.has(fd) ? READABLE : 0) | (this.#writable.has(fd) ? WRITABLE : 0)
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

  #want(fd: number, interest: number): void {
    if (interest & READABLE) this.#reads.add(fd)
    else this.#reads.remove(fd)
    if (interest & WRITABLE) this.#writes.add(fd)
    else this.#writes.remove(fd)
    if (interest & READABLE) this.#excepts.add(fd)
    else this.#excepts.remove(fd)
  }

  /** Searches the sets for what is in any of them, word by word. */
  #collect(): number {
    let count = 0
    for (let word = 0; word <= this.#highest >> 5; word++) {
      let bits = this.#readable.words[word] | this.#writable.words[word] | this.#exceptional.words[word]
      for (; bits !== 0; bits &= bits - 1)
        this.#fds[count++] = this.#found((word << 5) | (31 - Math.clz32(bits & -bits)))
    }
    return count
  }

  #found(fd: number): number {
    // Urgent data that nobody asked for would be exceptional for ever: it is told once.
    if (this.#exceptional.has(fd)) this.#excepts.remove(fd)
    if (fd !== this.#wakeup?.fd) return fd
    this.#wakeup.drain()
    return WOKEN
  }

  /** One descriptor that was closed makes the call fail for all. */
  #forgetClosed(): void {
    for (let fd = 0; fd <= this.#highest; fd++) if (this.#watched.has(fd) && !isOpen(fd)) this.remove(fd)
  }
}
