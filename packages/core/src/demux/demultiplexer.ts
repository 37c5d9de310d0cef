/**
 * What an event demultiplexer promises, whichever system call is behind it.
 *
 *   add(fd, interest)      watch a descriptor; one that is watched already is watched anew, and reported if it is ready
 *   modify(fd, interest)   change what it is watched for, likewise; 0 keeps it in the set and reports nothing but, where the
 *                          system call cannot help it (epoll, poll), errors and hang-ups
 *   remove(fd)             stop watching; does nothing where it is not watched; must come before close(2)
 *   closed(fd)             tell that a watched descriptor has been closed: cheaper than remove where the kernel knows already;
 *                          must come before the number is used again
 *   wait(timeout)          < 0 until something is ready, 0 not at all, > 0 at most that many milliseconds;
 *                          returns how many descriptors are ready, 0 where none is or a signal came
 *   fd(i), ready(i)        the i-th of them and its readiness, valid until the next wait; each descriptor comes once
 *   wake()                 end the wait that is under way, or else the next one; it reports WOKEN among the descriptors,
 *                          however often it was woken; other threads do it through `wakeup`
 *   close()                give the descriptors of the demultiplexer itself back
 *
 * Level-triggered (the default): what was not consumed is reported again by each wait. Edge-triggered: only what changed is
 * reported, so whoever is told reads, writes or accepts until EAGAIN, or asks to be told again with `modify`.
 * A descriptor with an error or a hang-up is reported as readable and writable, as far as somebody is interested and more where
 * the system call cannot help it, so that whoever reads or writes next meets the error.
 * A descriptor that is closed while it is watched, though nobody told, is not reported any more. One that is not open when it
 * is added is refused by epoll (PosixError EBADF); by select and poll it is never reported; kqueue takes changes with the next
 * wait, which reports once, as ready for all that it was to be watched for, what cannot be watched.
 * A descriptor from `limit` on cannot be watched: add throws RangeError.
 * A demultiplexer is used by one thread; of epoll, `add`, `modify` and `remove` may come from any.
 */

import type { Wakeup } from './wakeup.js'

export interface Demultiplexer {
  /** The system call: 'select', 'poll', 'epoll', 'kqueue'. */
  readonly name: string
  readonly trigger: Trigger
  /** Descriptors below this number can be watched. */
  readonly limit: number
  /** What it holds itself, for whoever must close it when its thread has died. */
  readonly descriptors: readonly number[]
  /** What other threads wake it by; made by the first who asks. Owner thread only. */
  readonly wakeup: Wakeup
  add(fd: number, interest: number): void
  modify(fd: number, interest: number): void
  remove(fd: number): void
  closed(fd: number): void
  wait(timeoutMs: number): number
  fd(i: number): number
  ready(i: number): number
  wake(): void
  close(): void
}

/** Whether readiness is reported as long as it lasts, or when it comes. */
export type Trigger = 'level' | 'edge'

/** Interest and readiness, the same numbers as what a connection waits for. */
export const READABLE = 1
export const WRITABLE = 2

/** Stands in the place of a descriptor where a wait was woken. */
export const WOKEN = -1
