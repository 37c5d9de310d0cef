import type { Service, Wakeup } from '@cs/core'
import { EventHandler, EventType } from './event-handler.js'
import type { Handover } from './handover.js'
import type { Reactor } from './reactor.js'

/** Takes the connections that another reactor has accepted, where an AcceptHandler would accept them. Reactor's thread only. */
export class InboxHandler extends EventHandler {
  readonly handle: number
  readonly #handover: Handover
  readonly #loop: number
  readonly #wakeup: Wakeup
  readonly #service: Service
  readonly #open: (fd: number) => void
  #isOpen = true

  /** `open` gets the descriptor of each connection, non-blocking, once it is this thread's. */
  constructor(reactor: Reactor, handover: Handover, loop: number, service: Service, open: (fd: number) => void) {
    super()
    this.#handover = handover
    this.#loop = loop
    this.#wakeup = handover.wakeupOf(loop)
    this.#service = service
    this.#open = open
    this.handle = this.#wakeup.fd
    reactor.registerHandler(this, EventType.input)
    this.handleInput() // what waited for the one before, if it died
  }

  /** False once nothing more will come. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  override handleInput(): void {
    const { table, owner } = this.#service
    this.#wakeup.drain() // whatever is put from here on signals again
    for (;;) {
      const fd = this.#handover.take(this.#loop)
      if (fd === 'closed') this.#isOpen = false
      if (typeof fd !== 'number') return
      if (table.claim(fd, owner)) this.#open(fd)
    }
  }

  /** It never pauses. */
  timeout(other: number): number {
    return other
  }

  /** Whoever accepts shuts the door, and says so through the handover. */
  shut(): void {}

  /** Waits for nobody any more: the stop is forced. */
  abandon(): void {
    this.#isOpen = false
  }
}
