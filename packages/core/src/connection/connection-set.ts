import { CLOSED, Connection } from './connection.js'
import type { Service } from './service.js'

/** Milliseconds between two looks at what has expired, and at what a drain still waits for. */
const SWEEP_MS = 500
const DRAIN_SWEEP_MS = 50

/** The connections of one event-driven thread, by descriptor. Owner thread only. */
export class ConnectionSet {
  readonly #service: Service
  readonly #closed: (fd: number) => void
  readonly #connections: (Connection | undefined)[] = []
  #size = 0
  #sweepAt: number
  #draining = false

  /** `closed` is told of each descriptor that was closed, before its number can be another's. */
  constructor(service: Service, closed: (fd: number) => void) {
    this.#service = service
    this.#closed = closed
    this.#sweepAt = service.now
  }

  get size(): number {
    return this.#size
  }

  /** Enters a connection that was just accepted. */
  open(fd: number): Connection {
    return this.#enter(Connection.accept(this.#service, fd))
  }

  /** Enters a connection that another thread has accepted, and this one has claimed. */
  take(fd: number): Connection {
    return this.#enter(new Connection(this.#service, fd))
  }

  at(fd: number): Connection | undefined {
    return this.#connections[fd]
  }

  /** Forgets a connection that is closed. */
  forget(connection: Connection): void {
    if (this.#connections[connection.fd] !== connection) return
    this.#connections[connection.fd] = undefined
    this.#size--
    this.#closed(connection.fd)
  }

  /** Milliseconds until {@link sweep} has something to look at, -1 for ever. */
  get timeout(): number {
    if (this.#size === 0) return -1
    return Math.max(0, (this.#sweepAt - this.#service.now) | 0)
  }

  /** Closes what has taken too long; while draining, also what is idle. Cheap to call: it looks only when it is time. */
  sweep(): void {
    const { now } = this.#service
    if (this.#size === 0 || ((now - this.#sweepAt) | 0) < 0) return
    this.#sweepAt = (now + (this.#draining ? DRAIN_SWEEP_MS : SWEEP_MS)) | 0
    for (const connection of this.#connections) {
      if (connection === undefined) continue
      if (this.#draining) connection.drain()
      if (connection.expired) connection.expire()
      if (connection.waiting === CLOSED) this.forget(connection)
    }
  }

  /** From now on answers end their connections and idle connections are closed. */
  drain(): void {
    if (this.#draining) return
    this.#draining = true
    this.#sweepAt = this.#service.now
    this.sweep()
  }

  /** Closes all connections at once, whatever is outstanding. */
  closeAll(): void {
    for (const connection of this.#connections) {
      if (connection === undefined) continue
      connection.close()
      this.forget(connection)
    }
  }

  #enter(connection: Connection): Connection {
    const { fd } = connection
    if (this.#connections[fd] === undefined) this.#size++
    this.#connections[fd] = connection
    return connection
  }
}
