/**
 * kqueue(2) wherever this runs, behind one interface: the system's own on macOS and FreeBSD; on Linux either libkqueue or
 * an emulation of our own over epoll, timerfd, signalfd, pidfd and inotify, which says that it is one.
 *
 * On Linux 'auto' takes the emulation; libkqueue must be asked for by its name. It runs a thread of its own in the process
 * and uses SIGRTMIN+1; where pidfd is missing it takes SIGCHLD too, by which node learns of its children; it keeps what it
 * knew of a descriptor that was closed, so that deleting it later could end in SIGSEGV (its BUGS.md, its issues 168, 170,
 * 173). A server should meet none of that because the library happens to be installed.
 */

import { type KeventList, UnsupportedError } from '../../posix/index.js'
import { EmulatedKqueue } from './emulated.js'
import { openLibkqueue, openNative } from './system.js'

export type KqueueBackend = 'native' | 'libkqueue' | 'emulated'

/** One queue. Owner thread only; the emulation knows no other. */
export interface Kqueue {
  readonly backend: KqueueBackend
  /** What it holds itself from the start, for whoever must close it when its thread has died. */
  readonly descriptors: readonly number[]
  /** Makes room for changes or events. @throws RangeError */
  list(capacity: number): KeventList
  /**
   * Applies the first `nchanges` changes, then waits until there is an event and fills `events` with at most `capacity`;
   * returns how many, 0 after `timeoutMs` (-1: for ever, 0: not at all) or where a signal came.
   *
   * A change that failed is told as an event with EV_ERROR and its errno in `data`, one with EV_RECEIPT likewise with 0;
   * where there is one of those, nothing else is told and nothing waited for. man 2 kevent
   * @throws PosixError where a change failed and there is no room to tell it, and what comes after it was not applied
   */
  kevent(changes: KeventList, nchanges: number, events: KeventList, capacity: number, timeoutMs: number): number
  /** Tells that a descriptor was closed: cheaper than deleting what watched it. Comes before its number is used again. */
  closed(fd: number): void
  close(): void
}

const hasNative = process.platform === 'darwin' || process.platform === 'freebsd'

/** Tells which backend 'auto' takes, undefined where there is none. Opens nothing. Any thread. */
export function kqueueBackend(): KqueueBackend | undefined {
  if (hasNative) return 'native'
  return process.platform === 'linux' ? 'emulated' : undefined
}

const DESCRIPTIONS: Readonly<Record<KqueueBackend, string>> = {
  native: 'the system has it',
  libkqueue: 'by libkqueue, over epoll',
  emulated: 'emulated over epoll, timerfd, signalfd, eventfd, pidfd and inotify',
}

/** Says in words where a backend has its queue from. Any thread. */
export function describeKqueue(backend: KqueueBackend | 'auto'): string {
  const known = backend === 'auto' ? kqueueBackend() : backend
  return known === undefined ? 'not known for this system' : DESCRIPTIONS[known]
}

/** Opens a queue; whoever opens it closes it. Any thread. @throws UnsupportedError, PosixError */
export function openKqueue(backend: KqueueBackend | 'auto' = 'auto'): Kqueue {
  switch (backend === 'auto' ? kqueueBackend() : backend) {
    case 'native':
      if (!hasNative)
        throw new UnsupportedError('kqueue()', "it is a call of macOS and FreeBSD: use 'emulated' or 'auto'")
      return openNative()
    case 'libkqueue':
      return openLibkqueue()
    case 'emulated':
      if (process.platform === 'linux') return new EmulatedKqueue()
      throw new UnsupportedError('the emulation of kqueue', "it is made of system calls of Linux: use 'auto'")
    default:
      throw new UnsupportedError('kqueue()', 'it is known for macOS and FreeBSD, and emulated on Linux')
  }
}
