/** Transfers by the reactor's own thread, as Asio does them on Linux: on readiness it receives or sends, and queues the result. */

import { recv, send } from '../posix/index.js'
import type { Channel, Transfers } from './reactive.js'

export class EmulatedTransfers implements Transfers {
  readonly backend = 'emulated'
  readonly mechanism = 'emulated: recv(2) and send(2) on the same thread'
  readonly #sent = new Map<Channel, number>()

  /** The bytes are taken from the socket when they are handed over, so that one buffer does for all. */
  beginRead(): void {}

  finishRead({ fd, isClosed }: Channel, into: Buffer): number {
    return isClosed ? 0 : recv(fd, into, 0, into.length)
  }

  beginWrite(channel: Channel): void {
    const { fd, bytes, written } = channel
    this.#sent.set(channel, send(fd, bytes, written, bytes.length - written))
  }

  finishWrite(channel: Channel): number {
    const result = this.#sent.get(channel)!
    this.#sent.delete(channel)
    return result
  }

  settle(): void {}

  free(): void {}
}
