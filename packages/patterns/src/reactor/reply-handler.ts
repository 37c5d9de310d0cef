import { APP, type Caller, type Connection, type ConnectionSet, READABLE, type Wakeup } from '@cs/core'
import { ConnectionHandler } from './connection-handler.js'
import { EventHandler, EventType } from './event-handler.js'
import type { Reactor } from './reactor.js'

/** Ends the wait of a reactor whose handlers run on other threads, when these have replied. Reactor's thread only. */
export class ReplyHandler extends EventHandler {
  readonly handle: number
  readonly #wakeup: Wakeup

  constructor(reactor: Reactor, wakeup: Wakeup) {
    super()
    this.handle = wakeup.fd
    this.#wakeup = wakeup
    reactor.registerHandler(this, EventType.input)
  }

  override handleInput(): void {
    this.#wakeup.drain()
  }
}

/** Lets connections read only while their requests have room where they go. Reactor's thread only. */
export class Gate {
  readonly #caller: Caller
  readonly #held = new Set<GatedHandler>()

  constructor(caller: Caller) {
    this.#caller = caller
  }

  get isShut(): boolean {
    return this.#caller.isFull
  }

  hold(handler: GatedHandler): void {
    this.#held.add(handler)
  }

  /** Has those read on who were held, if there is room again. */
  open(): void {
    if (this.#held.size === 0 || this.isShut) return
    for (const handler of this.#held) handler.readOn()
    this.#held.clear()
  }
}

/** Serves a connection whose requests cross to other threads: reads nothing while they have no room. Reactor's thread only. */
export class GatedHandler extends ConnectionHandler {
  readonly #gate: Gate

  constructor(reactor: Reactor, connections: ConnectionSet, connection: Connection, gate: Gate) {
    super(reactor, connections, connection)
    this.#gate = gate
  }

  override handleInput(): void {
    if (!this.#gate.isShut || this.connection.registered !== READABLE) return super.handleInput()
    this.#gate.hold(this)
    this.heed(APP)
  }

  readOn(): void {
    this.heed(this.connection.waiting)
  }
}
