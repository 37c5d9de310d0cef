/**
 * Who is let in: as many connections as there can be threads. Others are left in the backlog, and threads with idle clients are
 * told so; out of descriptors accepting pauses.
 */

import {
  Connection,
  type EpollDemultiplexer,
  EXHAUSTED,
  EXHAUSTED_PAUSE_MS,
  type HotQueue,
  type Listener,
  READABLE,
  type Service,
} from '@cs/core'
import { eventfdDrain, eventfdSignal } from '@cs/core/posix'
import type { Recruiter } from './recruiter.js'
import { CROWDED, countsOf, type Roster } from './roster.js'

/** Acceptor's thread only. */
export class Acceptor {
  readonly #roster: Roster
  readonly #recruiter: Recruiter
  readonly #queue: HotQueue
  readonly #listener: Listener
  readonly #service: Service
  readonly #demux: EpollDemultiplexer
  #isWatched = true
  #pause = -1

  constructor(
    roster: Roster,
    recruiter: Recruiter,
    queue: HotQueue,
    { listener, service }: { readonly listener: Listener; readonly service: Service },
    demux: EpollDemultiplexer,
  ) {
    this.#roster = roster
    this.#recruiter = recruiter
    this.#queue = queue
    this.#listener = listener
    this.#service = service
    this.#demux = demux
    demux.add(roster.freed, READABLE)
    demux.add(listener.fd, READABLE)
  }

  /** Takes note of what threads have told, if the event is theirs. */
  hears(fd: number): void {
    if (fd === this.#roster.freed) eventfdDrain(fd)
  }

  /** Takes those who wait, and watches the listening socket unless somebody is left, for whom there can be no thread now. */
  accept(): void {
    const isAllIn = this.#take()
    if (isAllIn !== this.#isWatched) this.#demux.modify(this.#listener.fd, isAllIn ? READABLE : 0)
    this.#isWatched = isAllIn
  }

  /** Takes one in, or one of the `last`, for whom there may be no thread yet. */
  hand(fd: number, last = false): void {
    if (last && !this.#recruiter.reserve(true)) return
    if (Connection.pass(this.#service, fd)) this.#queue.put(fd)
    else this.#recruiter.cancel()
  }

  /** Milliseconds for which the acceptor may wait, -1 for ever. */
  timeout(other: number): number {
    return this.#pause < 0 ? other : this.#pause
  }

  #take(): boolean {
    this.#pause = -1
    while (this.#listener.waiting) {
      if (!this.#recruiter.reserve()) {
        if (this.#crowd()) continue
        return false
      }
      const fd = this.#listener.take(false)
      if (fd >= 0) this.hand(fd)
      else this.#recruiter.cancel()
      if (fd === EXHAUSTED) this.#pause = EXHAUSTED_PAUSE_MS
      if (fd < 0) return fd !== EXHAUSTED
    }
    this.#disperse()
    return true
  }

  /** Says that clients wait in the backlog, and that a thread with an idle one is to give it up. True where one is free by now. */
  #crowd(): boolean {
    const { cells, limit, wanted } = this.#roster
    Atomics.store(cells, CROWDED, 1) // from here on who frees a thread says so
    if (countsOf(this.#roster).connections < limit) return true
    eventfdDrain(wanted)
    eventfdSignal(wanted)
    return false
  }

  /** Says that nobody waits any more. */
  #disperse(): void {
    const { cells, wanted } = this.#roster
    if (cells[CROWDED] === 0) return
    Atomics.store(cells, CROWDED, 0)
    eventfdDrain(wanted)
  }
}
