/**
 * EVFILT_SIGNAL by signalfd. A signal is seen here only while it is pending, so it must be blocked in every thread of the
 * process, or be sent to the queue's thread alone (tgkill): otherwise another thread takes it, by its handler or its default
 * effect. This blocks it in the queue's thread, and undoes that when the knote is deleted. kqueue itself sees every signal,
 * blocked or not, and leaves handlers alone.
 *
 * `data` of an event is how often the signal was taken; Linux keeps one of each standard signal pending, so what comes
 * in between counts once.
 */
import {
  EINVAL,
  EV_CLEAR,
  EVFILT_SIGNAL,
  type KeventList,
  PosixError,
  readSignal,
  SIG_BLOCK,
  SIG_UNBLOCK,
  signalfd,
  sigprocmask,
} from '../../posix/index.js'
import type { Descriptors } from './descriptors.js'
import { type Attachment, type Knote, Knotes } from './knotes.js'

const HIGHEST = 64

export function signalFilter(descriptors: Descriptors): Knotes {
  const knotes: Knotes = new Knotes(new Signals(descriptors, () => knotes))
  return knotes
}

class Signals implements Attachment {
  readonly #descriptors: Descriptors
  readonly #knotes: () => Knotes
  /** The signals that were not blocked before. */
  readonly #blocked = new Set<number>()

  constructor(descriptors: Descriptors, knotes: () => Knotes) {
    this.#descriptors = descriptors
    this.#knotes = knotes
  }

  attach(knote: Knote): void {
    if (knote.tag !== 0) return
    const { ident } = knote
    if (!Number.isInteger(ident) || ident < 1 || ident > HIGHEST) throw new PosixError('kevent', -EINVAL)
    knote.tag = this.#descriptors.add(signalfd([ident]), (events, n) => this.#report(knote, events, n))
    if (!sigprocmask(SIG_BLOCK, [ident]).includes(ident)) this.#blocked.add(ident)
  }

  arm(knote: Knote): void {
    this.#descriptors.arm(knote.tag, knote.enabled)
  }

  detach(knote: Knote): void {
    if (knote.tag === 0) return
    this.#take(knote) // or it would have its effect when it is unblocked
    this.#descriptors.remove(knote.tag)
    knote.tag = 0
    if (this.#blocked.delete(knote.ident)) sigprocmask(SIG_UNBLOCK, [knote.ident])
  }

  #take(knote: Knote): number {
    let count = 0
    while (readSignal(this.#descriptors.fd(knote.tag)) > 0) count++
    return count
  }

  #report(knote: Knote, events: KeventList, n: number): number {
    const count = this.#take(knote)
    if (count === 0) return 0
    events.set(n, knote.ident, EVFILT_SIGNAL, knote.flags | EV_CLEAR, 0, count, knote.udata)
    this.#knotes().told(knote)
    return 1
  }
}
