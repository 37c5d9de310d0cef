import type { Transport } from '../connection/index.js'
import { EAGAIN } from '../posix/index.js'
import type { AsynchronousOperationProcessor, WriteHandler } from './processor.js'

/** Has the connections of a thread send by operations; `handler` passes each completion on to `Connection.sent`. */
export class AsynchronousTransport implements Transport {
  readonly completes = true
  readonly #processor: AsynchronousOperationProcessor
  readonly #handler: WriteHandler

  constructor(processor: AsynchronousOperationProcessor, handler: WriteHandler) {
    this.#processor = processor
    this.#handler = handler
  }

  send(fd: number, bytes: Uint8Array, length: number): number {
    return this.#processor.writeBytes(fd, bytes, length, this.#handler)
  }

  sendv(fd: number, chunks: readonly Uint8Array[]): number {
    return this.#processor.write(fd, chunks, this.#handler)
  }

  /** What comes is handed over by the read that is under way. */
  unread(): number {
    return -EAGAIN
  }

  shutdown(fd: number): void {
    this.#processor.shutdown(fd)
  }

  close(fd: number): void {
    this.#processor.close(fd)
  }
}
