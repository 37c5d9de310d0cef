import { EventHandler, EventType } from './event-handler.js'
import type { Reactor } from './reactor.js'

/** Hears, once, that the server is to stop. Reactor's thread only. */
export class StopHandler extends EventHandler {
  readonly handle: number
  readonly #reactor: Reactor
  readonly #drain: () => void

  constructor(reactor: Reactor, handle: number, drain: () => void) {
    super()
    this.handle = handle
    this.#reactor = reactor
    this.#drain = drain
    reactor.registerHandler(this, EventType.input)
  }

  override handleInput(): void {
    this.#reactor.removeHandler(this) // its handle stays readable
    this.#drain()
  }
}
