/**
 * How a thread is woken from a wait for descriptors: by one that becomes readable. Three kinds, as the literature lists them:
 *
 *   eventfd      one descriptor, a counter in the kernel (man 2 eventfd; Linux, FreeBSD)
 *   pipe         two, the self-pipe trick (UNP §30.6; man 2 pipe)
 *   socketpair   two, where select takes nothing but sockets (man 2 socketpair)
 *
 * Any number of signals before the wait are one; a full pipe is as good as one more byte.
 */

import { close, eventfd, eventfdDrain, eventfdSignal, pipe2, read, socketpair, write } from '../posix/index.js'

export type WakeupKind = 'eventfd' | 'pipe' | 'socketpair'

/** A wakeup on its way to another thread. */
export interface SharedWakeup {
  readonly kind: WakeupKind
  readonly readFd: number
  readonly writeFd: number
}

const BYTES = 64
const bytes = new Uint8Array(BYTES)

export class Wakeup {
  readonly kind: WakeupKind
  /** Readable once it was signalled, until it is drained. */
  readonly fd: number
  readonly #writeFd: number

  private constructor({ kind, readFd, writeFd }: SharedWakeup) {
    this.kind = kind
    this.fd = readFd
    this.#writeFd = writeFd
  }

  /** Opens a wakeup; whoever opens it closes it. Any thread. @throws PosixError, UnsupportedError */
  static open(kind: WakeupKind = DEFAULT_KIND): Wakeup {
    if (kind === 'eventfd') {
      const fd = eventfd(0, { nonblocking: true })
      return new Wakeup({ kind, readFd: fd, writeFd: fd })
    }
    const [readFd, writeFd] = kind === 'pipe' ? pipe2({ nonblocking: true }) : socketpair({ nonblocking: true })
    return new Wakeup({ kind, readFd, writeFd })
  }

  /** Takes hold of the wakeup of another thread, to signal it. */
  static from(shared: SharedWakeup): Wakeup {
    return new Wakeup(shared)
  }

  /** What it holds: one descriptor, or two. */
  get descriptors(): readonly number[] {
    return this.#writeFd === this.fd ? [this.fd] : [this.fd, this.#writeFd]
  }

  share(): SharedWakeup {
    return { kind: this.kind, readFd: this.fd, writeFd: this.#writeFd }
  }

  /** Makes the descriptor readable. Any thread, as long as it is open. */
  signal(): void {
    if (this.kind === 'eventfd') eventfdSignal(this.fd)
    else write(this.#writeFd, bytes, 0, 1)
  }

  /** Takes all signals so far; true where there was one. */
  drain(): boolean {
    if (this.kind === 'eventfd') return eventfdDrain(this.fd) > 0
    let drained = false
    for (let n = BYTES; n === BYTES; drained ||= n > 0) n = read(this.fd, bytes, 0, BYTES)
    return drained
  }

  close(): void {
    for (const fd of this.descriptors) close(fd)
  }
}

const DEFAULT_KIND: WakeupKind = process.platform === 'darwin' ? 'pipe' : 'eventfd'
