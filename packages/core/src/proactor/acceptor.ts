import { PAUSES, type Service } from '../connection/index.js'
import { EMFILE, ENFILE, ENOBUFS, ENOMEM } from '../posix/index.js'
import { EXHAUSTED, EXHAUSTED_PAUSE_MS, type Listener } from '../socket/index.js'
import type { AcceptHandler, AsynchronousOperationProcessor } from './processor.js'

const SHORTAGES: readonly number[] = [-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM]

/**
 * The completion handler of accepting: has each connection entered, starts again what ended by a failure of one connection,
 * and pauses where no descriptor is left, so that nothing spins and the backlog waits. Owner thread only.
 */
export class Acceptor implements AcceptHandler {
  readonly #listener: Listener
  readonly #processor: AsynchronousOperationProcessor
  readonly #service: Service
  readonly #enter: (fd: number) => void
  #isShut = false
  #isAccepting = false
  #hasSaidWhy = false
  #endPause: (() => void) | undefined

  /** Starts accepting; `enter` gets each descriptor, non-blocking. */
  constructor(
    listener: Listener,
    processor: AsynchronousOperationProcessor,
    service: Service,
    enter: (fd: number) => void,
  ) {
    this.#listener = listener
    this.#processor = processor
    this.#service = service
    this.#enter = enter
    this.#accept()
  }

  /** False once it is shut and every connection that was accepted has been entered. */
  get isOpen(): boolean {
    return !this.#isShut || this.#isAccepting
  }

  accepted(result: number): void {
    if (result >= 0) return this.#enter(result)
    this.#isAccepting = false
    if (this.#isShut) return
    if (SHORTAGES.includes(result)) this.#pause()
    else this.#accept() // what failed was one connection (man 2 accept)
  }

  /** Takes all that wait, for the last time, and lets nobody else come. */
  shut(): void {
    this.#isShut = true
    this.#endPause?.()
    if (this.#isAccepting) this.#processor.cancel(this.#listener.fd)
    for (const fd of this.#listener.takeLast(true)) this.#enter(fd)
  }

  #accept(): void {
    this.#isAccepting = true
    this.#processor.accept(this.#listener.fd, this)
  }

  /** The listener tells who has waited too long, by the descriptor that it keeps for that. */
  #pause(): void {
    const { counters, log } = this.#service
    const fd = this.#listener.take(true)
    if (fd >= 0) this.#enter(fd)
    if (fd !== EXHAUSTED) return this.#accept()
    counters[PAUSES]++
    if (!this.#hasSaidWhy)
      log('accepting pauses whenever no descriptor is left: who comes then waits in the backlog (told once)')
    this.#hasSaidWhy = true
    this.#endPause = this.#processor.timer(EXHAUSTED_PAUSE_MS, { expired: () => this.#accept() })
  }
}
