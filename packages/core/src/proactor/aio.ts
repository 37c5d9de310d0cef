/**
 * Transfers by POSIX AIO, which glibc does with threads of its own; aio_suspend(3) waits for them.
 *
 * A transfer begins only when the descriptor is ready. One that waited for its client would hold one of glibc's threads, of
 * which there are 20: the 21st silent client would stop the server. And a write would stand behind the read of the same socket.
 */

import { AioOperation, aio_error, aio_read, aio_return, aio_suspend, aio_write, EINPROGRESS } from '../posix/index.js'
import { WRITE_BYTES } from './processor.js'
import type { Channel, Transfers } from './reactive.js'

/** A transfer that has begun, or could not. */
interface Transfer {
  readonly operation: AioOperation
  readonly failed: number
}

export class AioTransfers implements Transfers {
  readonly backend = 'aio'
  readonly mechanism = "aio(7): read(2) and write(2) on threads of the C library's"
  readonly #reads = new Map<Channel, Transfer>()
  readonly #writes = new Map<Channel, Transfer>()
  readonly #free: AioOperation[] = []

  /** @throws UnsupportedError where this platform's AIO is not known */
  constructor() {
    this.#free.push(new AioOperation(WRITE_BYTES))
  }

  beginRead(channel: Channel): void {
    const operation = this.#take()
    const failed = aio_read(operation, channel.fd, WRITE_BYTES)
    this.#reads.set(channel, { operation, failed })
  }

  finishRead(channel: Channel, into: Buffer): number {
    const { operation, failed } = this.#reads.get(channel)!
    this.#reads.delete(channel)
    const result = failed < 0 ? failed : aio_return(operation, into)
    this.#free.push(operation)
    return result
  }

  beginWrite(channel: Channel): void {
    const { fd, bytes, written } = channel
    const operation = this.#take()
    const failed = aio_write(operation, fd, bytes, written, bytes.length - written)
    this.#writes.set(channel, { operation, failed })
  }

  finishWrite(channel: Channel): number {
    const { operation, failed } = this.#writes.get(channel)!
    this.#writes.delete(channel)
    const result = failed < 0 ? failed : aio_return(operation)
    this.#free.push(operation)
    return result
  }

  settle(): void {
    for (let left = this.#unfinished(); left.length > 0; left = this.#unfinished()) aio_suspend(left, -1)
  }

  free(): void {
    for (const operation of this.#free.splice(0)) operation.free()
  }

  #take(): AioOperation {
    return this.#free.pop() ?? new AioOperation(WRITE_BYTES)
  }

  #unfinished(): AioOperation[] {
    const unfinished: AioOperation[] = []
    for (const transfers of [this.#reads, this.#writes]) {
      for (const { operation } of transfers.values()) {
        if (aio_error(operation) === -EINPROGRESS) unfinished.push(operation)
      }
    }
    return unfinished
  }
}
