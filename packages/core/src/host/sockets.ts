/**
 * The listening sockets of a server: one for all its units, or one for each unit of a role, all on one port (SO_REUSEPORT).
 *
 * The host holds them while they are of use: whoever takes the place of a unit that died or was replaced inherits its
 * socket, with all that wait there. Only where a unit is taken away for good does its socket close, and then
 * the kernel is told first to hand it no new connections (SO_ATTACH_REUSEPORT_CBPF): what a closing socket has in its
 * backlog would be reset.
 */

import { selectAllReusePort, selectReusePort } from '../posix/index.js'
import { Listener, type ListenOptions } from '../socket/index.js'

/** Where to listen; `reusePort` says that there may be a socket for each unit. */
type SocketsOptions = Omit<ListenOptions, 'reusePort'> & { readonly reusePort: boolean }

/** Milliseconds in which handshakes that have begun come to their end. */
export const HANDSHAKE_MS = 1000

export class Sockets {
  /** The one for all, or the first. */
  readonly first: Listener
  readonly #options: ListenOptions
  /** Is called when the socket is closed that others go on using; undefined where the sockets are the server's own. */
  readonly #onLeft: (() => void) | undefined
  /** In the order in which the kernel has them. */
  readonly #open: Listener[]
  /** Those to which nothing new is to go. */
  readonly #turnedAway: Set<Listener> = new Set()

  private constructor(first: Listener, options: ListenOptions, onLeft?: () => void) {
    this.first = first
    this.#options = { ...options, address: first.address }
    this.#open = [first]
    this.#onLeft = onLeft
  }

  /** Opens the one for all, or the first. @throws PosixError */
  static listen(options: SocketsOptions): Sockets {
    return new Sockets(Listener.open({ ...options, reusePort: options.reusePort ? 'first' : false }), options)
  }

  /** Takes the socket that a process was handed and shares with others; `onLeft` is called in the place of closing it. */
  static adopt(first: Listener, onLeft: () => void): Sockets {
    return new Sockets(first, first, onLeft)
  }

  get open(): readonly Listener[] {
    return this.#open
  }

  /** Gives the n-th unit of a role its socket. @throws PosixError */
  at(index: number): Listener {
    while (this.#open.length <= index) this.add()
    return this.#open[index]
  }

  /** Opens one more on the port. It takes connections only once those that were turned away are closed. @throws PosixError */
  add(): Listener {
    const listener = Listener.open(this.#options)
    this.#open.push(listener)
    return listener
  }

  /** Has new connections go elsewhere; a handshake that has begun here comes to its end within {@link HANDSHAKE_MS}. */
  turnAway(listener: Listener): void {
    this.#turnedAway.add(listener)
    const count = this.#open.findIndex((each) => this.#turnedAway.has(each))
    if (count > 0) selectReusePort(this.first.fd, count)
  }

  close(listener: Listener): void {
    const index = this.#open.indexOf(listener)
    if (index < 0) return
    const last = this.#open.pop()!
    if (last !== listener) this.#open[index] = last // as the kernel fills the gap
    if (this.#onLeft !== undefined) return this.#onLeft()
    listener.close()
    if (this.#turnedAway.delete(listener) && this.#turnedAway.size === 0) selectAllReusePort(this.first.fd)
  }

  closeAll(): void {
    if (this.#onLeft !== undefined) return
    for (const listener of this.#open.splice(0)) {
      listener.refuse() // a ring of io_uring that a dead thread left behind may hold the socket open
      listener.close()
    }
  }
}
