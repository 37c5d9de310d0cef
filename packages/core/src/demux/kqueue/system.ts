/** kqueue(2) as the system has it, or libkqueue on Linux: one kevent(2) applies the changes and waits. */

import {
  close,
  EINTR,
  EV_DELETE,
  EVFILT_READ,
  EVFILT_WRITE,
  KeventList,
  type KqueueCalls,
  libkqueue,
  PosixError,
  systemKqueue,
} from '../../posix/index.js'
import type { Kqueue } from './kqueue.js'

export function openNative(): Kqueue {
  return new SystemKqueue('native', systemKqueue)
}

/** @throws UnsupportedError where libkqueue.so.0 is not installed */
export function openLibkqueue(): Kqueue {
  return new SystemKqueue('libkqueue', libkqueue)
}

class SystemKqueue implements Kqueue {
  readonly backend: 'native' | 'libkqueue'
  readonly descriptors: readonly number[]
  readonly #calls: KqueueCalls
  readonly #kq: number
  readonly #forgets: KeventList
  readonly #refused: KeventList

  constructor(backend: 'native' | 'libkqueue', calls: KqueueCalls) {
    this.backend = backend
    this.#calls = calls
    this.#kq = calls.kqueue()
    this.descriptors = [this.#kq]
    this.#forgets = this.list(2)
    this.#refused = this.list(2)
  }

  list(capacity: number): KeventList {
    return new KeventList(capacity, this.#calls.table)
  }

  kevent(changes: KeventList, nchanges: number, events: KeventList, capacity: number, timeoutMs: number): number {
    const n = this.#calls.kevent(this.#kq, changes, nchanges, events, capacity, timeoutMs)
    if (n < 0 && n !== -EINTR) throw new PosixError('kevent', n)
    return Math.max(n, 0)
  }

  /** A kernel has forgotten the descriptor by then; libkqueue must be told, and answers with errors. */
  closed(fd: number): void {
    if (this.backend === 'native') return
    this.#forgets.set(0, fd, EVFILT_READ, EV_DELETE)
    this.#forgets.set(1, fd, EVFILT_WRITE, EV_DELETE)
    this.#calls.kevent(this.#kq, this.#forgets, 2, this.#refused, 2, 0)
  }

  close(): void {
    close(this.#kq)
  }
}
