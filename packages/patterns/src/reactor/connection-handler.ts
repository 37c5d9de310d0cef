import { CLOSED, type Connection, type ConnectionSet, type Waiting } from '@cs/core'
import { EventHandler, EventType } from './event-handler.js'
import type { Reactor } from './reactor.js'

/**
 * Serves one connection: reads requests, calls the app, writes answers. Registers itself for what the connection waits for,
 * and is removed when it closes. Reactor's thread only.
 */
export class ConnectionHandler extends EventHandler {
  readonly handle: number
  protected readonly connection: Connection
  readonly #reactor: Reactor
  readonly #connections: ConnectionSet

  constructor(reactor: Reactor, connections: ConnectionSet, connection: Connection) {
    super()
    this.handle = connection.fd
    this.connection = connection
    this.#reactor = reactor
    this.#connections = connections
    connection.onProgress = () => this.heed(connection.waiting)
    reactor.registerHandler(this, EventType.input)
  }

  /** Reads what came, has it handled, and writes the answers as far as the socket takes them. */
  override handleInput(): void {
    this.heed(this.connection.advance())
  }

  /** Writes on, and then goes on as {@link handleInput} does. */
  override handleOutput(): void {
    this.heed(this.connection.advance())
  }

  /** Has the reactor wait for what the connection waits for now. */
  protected heed(waiting: Waiting): void {
    const { connection } = this
    if (waiting === CLOSED) this.#connections.forget(connection)
    else if (waiting !== connection.registered) this.#reactor.changeTypes(this, (connection.registered = waiting))
  }
}
