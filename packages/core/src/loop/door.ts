import { type Demultiplexer, READABLE } from '../demux/index.js'
import { EXHAUSTED, EXHAUSTED_PAUSE_MS, type Listener } from '../socket/index.js'

/** Connections taken in one go before others get their turn; the demultiplexer reports the rest again. */
const BURST = 64

/**
 * A listening socket watched by a demultiplexer: takes what waits, a bounded number at a time, and when the process is out of
 * descriptors looks away for a moment instead of spinning, while the backlog waits.
 */
export class Door {
  readonly #listener: Listener
  readonly #demux: Demultiplexer
  readonly #enter: (fd: number) => void
  #pausedUntil = 0

  /** Starts watching; `enter` gets each accepted descriptor, non-blocking. */
  constructor(listener: Listener, demux: Demultiplexer, enter: (fd: number) => void) {
    this.#listener = listener
    this.#demux = demux
    this.#enter = enter
    demux.add(listener.fd, READABLE)
  }

  /** Takes connections if the event is the door's; tells whether it is. */
  takes(fd: number): boolean {
    if (fd !== this.#listener.fd) return false
    this.#take()
    return true
  }

  /** Milliseconds for which the demultiplexer may wait, -1 for any; looks again when a pause is over. */
  timeout(other: number): number {
    if (this.#pausedUntil === 0) return other
    const left = this.#pausedUntil - Date.now()
    if (left > 0) return other < 0 ? left : Math.min(left, other)
    this.#pausedUntil = 0
    this.#demux.modify(this.#listener.fd, READABLE)
    return other
  }

  /** Takes all that wait, for the last time, and lets nobody else come. */
  shut(): void {
    for (const fd of this.#listener.takeLast(true)) this.#enter(fd)
    this.#demux.remove(this.#listener.fd)
    this.#pausedUntil = 0
  }

  /** A poll(2) tells for a sixth of the time what an accept4(2) that finds nothing tells. */
  #take(): void {
    for (let taken = 0; taken < BURST && (taken === 0 || this.#listener.waiting); taken++) {
      const fd = this.#listener.take(true)
      if (fd === EXHAUSTED) return this.#pause()
      if (fd < 0) return
      this.#enter(fd)
    }
  }

  #pause(): void {
    this.#pausedUntil = Date.now() + EXHAUSTED_PAUSE_MS
    this.#demux.modify(this.#listener.fd, 0)
  }
}
