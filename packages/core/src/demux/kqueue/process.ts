/**
 * EVFILT_PROC by pidfd (Linux 5.3): NOTE_EXIT alone. NOTE_FORK, NOTE_EXEC and NOTE_TRACK are refused with ENOTSUP, because
 * nothing that a process may use without privileges tells them on Linux.
 *
 * Any process can be watched. `data` is its wait status if it is a child that nobody has collected yet, else 0: Linux tells
 * it to the parent only, and node collects the children of `child_process` as soon as its own loop turns.
 */
import {
  ENOTSUP,
  EV_EOF,
  EV_ONESHOT,
  EVFILT_PROC,
  type KeventList,
  NOTE_EXIT,
  PosixError,
  peekExitStatus,
  pidfd_open,
  STILL_RUNNING,
} from '../../posix/index.js'
import type { Descriptors } from './descriptors.js'
import { type Attachment, type Knote, Knotes } from './knotes.js'

export function processFilter(descriptors: Descriptors): Knotes {
  const knotes: Knotes = new Knotes(new Processes(descriptors, () => knotes))
  return knotes
}

class Processes implements Attachment {
  readonly #descriptors: Descriptors
  readonly #knotes: () => Knotes

  constructor(descriptors: Descriptors, knotes: () => Knotes) {
    this.#descriptors = descriptors
    this.#knotes = knotes
  }

  attach(knote: Knote): void {
    if (knote.fflags >>> 0 !== NOTE_EXIT) throw new PosixError('kevent', -ENOTSUP)
    knote.flags |= EV_ONESHOT // a process ends once
    if (knote.tag !== 0) return
    const fd = pidfd_open(knote.ident)
    if (fd < 0) throw new PosixError('pidfd_open', fd, String(knote.ident))
    knote.tag = this.#descriptors.add(fd, (events, n) => this.#report(knote, events, n))
  }

  arm(knote: Knote): void {
    this.#descriptors.arm(knote.tag, knote.enabled)
  }

  detach(knote: Knote): void {
    this.#descriptors.remove(knote.tag)
    knote.tag = 0
  }

  #report(knote: Knote, events: KeventList, n: number): number {
    const status = peekExitStatus(knote.ident)
    if (status === STILL_RUNNING) return 0
    events.set(n, knote.ident, EVFILT_PROC, knote.flags | EV_EOF, NOTE_EXIT, Math.max(status, 0), knote.udata)
    this.#knotes().told(knote)
    return 1
  }
}
