import { Door, type Listener, type Service } from '@cs/core'
import { EventHandler, type EventTypes } from './event-handler.js'
import type { Reactor } from './reactor.js'

/**
 * Accepts connections and hands each to what serves it: the acceptor of POSA2's Acceptor-Connector. Registers itself; out of
 * descriptors it pauses. Reactor's thread only.
 */
export class AcceptHandler extends EventHandler {
  readonly handle: number
  readonly #door: Door

  /** `open` gets the descriptor of each connection, non-blocking. */
  constructor(reactor: Reactor, listener: Listener, service: Service, open: (fd: number) => void) {
    super()
    this.handle = listener.fd
    const { name, trigger, limit } = reactor.demux
    const register = (_: number, types: EventTypes): void => reactor.registerHandler(this, types)
    const change = (_: number, types: EventTypes): void => reactor.changeTypes(this, types)
    const remove = (): void => reactor.removeHandler(this)
    this.#door = new Door(listener, { name, trigger, limit, add: register, modify: change, remove }, service, open)
  }

  /** False once it is shut and everybody who came before is in. */
  get isOpen(): boolean {
    return this.#door.isOpen
  }

  override handleInput(): void {
    this.#door.takes(this.handle)
  }

  /** Milliseconds for which the reactor may wait, -1 for any; looks again when a pause is over. */
  timeout(other: number): number {
    return this.#door.timeout(other)
  }

  /** Takes all that wait, for the last time, and removes itself. */
  shut(): void {
    this.#door.shut()
  }

  /** Closes what could not be let in: the stop is forced. */
  abandon(): void {
    this.#door.abandon()
  }
}
