/**
 * A listening socket watched by a demultiplexer: takes what waits, a bounded number at a time.
 *
 * Out of descriptors it looks away for a moment instead of spinning, and the backlog waits. The same where a descriptor comes
 * that the demultiplexer cannot watch (select, from FD_SETSIZE on): its connection is held until a lower number is free, and
 * until then no other is taken.
 */

import { PAUSES, type Service } from '../connection/index.js'
import { type Demultiplexer, READABLE } from '../demux/index.js'
import { close, duplicate } from '../posix/index.js'
import { EXHAUSTED, EXHAUSTED_PAUSE_MS, type Listener } from '../socket/index.js'

/** Connections taken in one go before others get their turn; the demultiplexer reports the rest again. */
const BURST = 64

/** What of a demultiplexer it takes to watch a listening socket, and to tell who can be let in. */
export type Admitter = Pick<Demultiplexer, 'name' | 'trigger' | 'limit' | 'add' | 'modify' | 'remove'>

export class Door {
  readonly #listener: Listener
  readonly #demux: Admitter
  readonly #service: Service
  readonly #enter: (fd: number) => void
  /** Connections whose descriptors cannot be watched, oldest first. */
  readonly #held: number[] = []
  #isShut = false
  /** When the pause is over, on the clock of Date.now(); 0: there is none. */
  readonly #pausedUntil: Float64Array
  #hasSaidWhy = false

  /**
   * Starts watching; `enter` gets each accepted descriptor, non-blocking. Threads that take turns at one demultiplexer have a
   * door each, and share the cell `pausedUntil`, so that whoever has the turn ends a pause.
   */
  constructor(
    listener: Listener,
    demux: Admitter,
    service: Service,
    enter: (fd: number) => void,
    pausedUntil: Float64Array = new Float64Array(1),
  ) {
    this.#listener = listener
    this.#demux = demux
    this.#service = service
    this.#enter = enter
    this.#pausedUntil = pausedUntil
    demux.add(listener.fd, READABLE)
  }

  /** False once it is shut and nobody that came before stands outside. */
  get isOpen(): boolean {
    return !this.#isShut || this.#held.length > 0
  }

  /** Takes connections if the event is the door's; tells whether it is. */
  takes(fd: number): boolean {
    if (fd !== this.#listener.fd) return false
    this.#take()
    return true
  }

  /** Milliseconds for which the demultiplexer may wait, -1 for any; looks again when a pause is over. */
  timeout(other: number): number {
    if (this.#pausedUntil[0] === 0) return other
    const left = this.#held.length > 0 ? this.#letIn() : this.#pausedUntil[0] - Date.now()
    if (left > 0) return other < 0 ? left : Math.min(left, other)
    this.#pausedUntil[0] = 0
    if (!this.#isShut) this.#demux.modify(this.#listener.fd, READABLE)
    return other
  }

  /** Takes all that wait, for the last time, and lets nobody else come. */
  shut(): void {
    this.#demux.remove(this.#listener.fd)
    this.#isShut = true
    for (const fd of this.#listener.takeLast(true)) this.#admit(fd)
    if (this.#held.length === 0) this.#pausedUntil[0] = 0
  }

  /** Closes what is held: the stop is forced. */
  abandon(): void {
    for (const fd of this.#held.splice(0)) this.#close(fd)
  }

  #take(): void {
    for (let taken = 0; taken < BURST; taken++) {
      // A poll(2) tells for a sixth of the time what an accept4(2) that finds nothing tells.
      if (taken > 0 && this.#demux.trigger === 'level' && !this.#listener.waiting) return
      const fd = this.#listener.take(true)
      if (fd === EXHAUSTED) return this.#pause('no descriptor is left')
      if (fd < 0 || !this.#admit(fd)) return
    }
    if (this.#demux.trigger === 'edge') this.#demux.modify(this.#listener.fd, READABLE) // what still waits is told again
  }

  /** Lets a connection in, or holds it and pauses. */
  #admit(fd: number): boolean {
    const { limit, name } = this.#demux
    if (fd < limit && this.#held.length === 0) this.#enter(fd)
    else {
      this.#held.push(fd)
      this.#service.table.enter(fd, this.#service.owner) // so that it is closed if this thread dies
      this.#pause(`${name}(2) watches no descriptor from ${limit} on`)
    }
    return this.#held.length === 0
  }

  /** Lets in who is held, each under a number that has become free; tells in how many ms to try again, 0 when all are in. */
  #letIn(): number {
    while (this.#held.length > 0) {
      const fd = lowestFor(this.#held[0])
      if (fd >= this.#demux.limit) {
        close(fd)
        return EXHAUSTED_PAUSE_MS
      }
      if (fd < 0) return EXHAUSTED_PAUSE_MS
      this.#close(this.#held.shift()!)
      this.#enter(fd)
    }
    return 0
  }

  #close(fd: number): void {
    this.#service.table.leave(fd)
    close(fd)
  }

  #pause(why: string): void {
    const { counters, log } = this.#service
    if (this.#pausedUntil[0] === 0) counters[PAUSES]++
    this.#pausedUntil[0] = Date.now() + EXHAUSTED_PAUSE_MS
    if (!this.#isShut) this.#demux.modify(this.#listener.fd, 0)
    if (!this.#hasSaidWhy) log(`accepting pauses whenever ${why}: who comes then waits in the backlog (told once)`)
    this.#hasSaidWhy = true
  }
}

/** The same socket under the lowest number that is free; -1 where none is. */
function lowestFor(fd: number): number {
  try {
    return duplicate(fd)
  } catch {
    return -1
  }
}
