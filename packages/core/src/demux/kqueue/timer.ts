/**
 * EVFILT_TIMER by timerfd: one timer an ident. Relative times are of the clock that only goes on, NOTE_ABSTIME is of the
 * wall clock and expires once. `data` of an event is how often the timer expired since it was told last.
 */
import {
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  EINVAL,
  EV_CLEAR,
  EV_ONESHOT,
  EVFILT_TIMER,
  type KeventList,
  NOTE_ABSTIME,
  NOTE_NSECONDS,
  NOTE_SECONDS,
  NOTE_USECONDS,
  PosixError,
  timerfd_create,
  timerfd_settime,
  timerfdExpirations,
} from '../../posix/index.js'
import type { Descriptors } from './descriptors.js'
import { type Attachment, type Knote, Knotes } from './knotes.js'

export function timerFilter(descriptors: Descriptors): Knotes {
  const knotes: Knotes = new Knotes(new Timers(descriptors, () => knotes))
  return knotes
}

class Timers implements Attachment {
  readonly #descriptors: Descriptors
  readonly #knotes: () => Knotes

  constructor(descriptors: Descriptors, knotes: () => Knotes) {
    this.#descriptors = descriptors
    this.#knotes = knotes
  }

  attach(knote: Knote): void {
    this.detach(knote) // the clock may be another; what it counted is void
    if (!(knote.data >= 0)) throw new PosixError('kevent', -EINVAL)
    const absolute = (knote.fflags & NOTE_ABSTIME) !== 0
    if (absolute) knote.flags |= EV_ONESHOT
    const fd = timerfd_create(absolute ? CLOCK_REALTIME : CLOCK_MONOTONIC)
    knote.tag = this.#descriptors.add(fd, (events, n) => this.#report(knote, events, n))
    // 0 would stop a timerfd; here it means at once.
    const first = Math.max(1, knote.data * unit(knote.fflags))
    const interval = knote.flags & EV_ONESHOT ? 0 : first
    const result = timerfd_settime(fd, { first, interval, absolute })
    if (result < 0) throw new PosixError('timerfd_settime', result)
  }

  arm(knote: Knote): void {
    this.#descriptors.arm(knote.tag, knote.enabled)
  }

  detach(knote: Knote): void {
    this.#descriptors.remove(knote.tag)
    knote.tag = 0
  }

  #report(knote: Knote, events: KeventList, n: number): number {
    const expirations = timerfdExpirations(this.#descriptors.fd(knote.tag))
    if (expirations <= 0) return 0
    events.set(n, knote.ident, EVFILT_TIMER, knote.flags | EV_CLEAR, 0, expirations, knote.udata)
    this.#knotes().told(knote)
    return 1
  }
}

/** Nanoseconds of the unit that the notes name. */
function unit(notes: number): number {
  if (notes & NOTE_SECONDS) return 1e9
  if (notes & NOTE_USECONDS) return 1e3
  return notes & NOTE_NSECONDS ? 1 : 1e6
}
