/**
 * Collects the bytes that a connection is to send, in one buffer of the thread that all its connections use in turn.
 *
 * What fits stays in `bytes[0, length)` and leaves with one send(2). Only what does not fit, and bodies too large to be
 * worth copying, become chunks of their own. Whoever fed a machine takes the output at once, before the next machine
 * writes here.
 */

import './buffer.js'

/** Bytes of the buffer; also the most that is sent with one call where nothing is large. */
const CAPACITY = 64 * 1024

/** Bytes from which on a body is sent from where it lies instead of being copied. */
const LARGE = 16 * 1024

export class Output {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(CAPACITY)
  length = 0
  /** What goes before `bytes`, oldest first; empty as a rule. */
  chunks: Uint8Array[] = []

  get empty(): boolean {
    return this.length === 0 && this.chunks.length === 0
  }

  /** Appends a string of code units below 256, a byte each. */
  latin1(text: string): void {
    if (text.length > CAPACITY - this.length) {
      this.#spill()
      if (text.length > CAPACITY) {
        this.chunks.push(Buffer.from(text, 'latin1'))
        return
      }
    }
    this.length += this.bytes.latin1Write(text, this.length)
  }

  /** Appends a string as UTF-8, whose length the caller has computed. */
  utf8(text: string, byteLength: number): void {
    if (byteLength > CAPACITY - this.length) {
      this.#spill()
      if (byteLength > CAPACITY) {
        this.chunks.push(Buffer.from(text, 'utf8'))
        return
      }
    }
    this.length += this.bytes.utf8Write(text, this.length)
  }

  /** Appends bytes; large ones are not copied and must not change until they are sent. */
  data(data: Uint8Array): void {
    if (data.length >= LARGE || data.length > CAPACITY - this.length) {
      this.#spill()
      if (data.length >= LARGE) {
        this.chunks.push(data)
        return
      }
    }
    this.bytes.set(data, this.length)
    this.length += data.length
  }

  /** Takes what is left behind the first `sent` bytes, as chunks that outlive the next use of this buffer. */
  takeRest(sent: number): Uint8Array[] {
    this.#spill()
    const rest = skip(this.chunks, sent)
    this.chunks = []
    return rest
  }

  clear(): void {
    this.length = 0
    if (this.chunks.length > 0) this.chunks = []
  }

  #spill(): void {
    if (this.length === 0) return
    this.chunks.push(Buffer.from(this.bytes.subarray(0, this.length)))
    this.length = 0
  }
}

/** Drops the first `sent` bytes of a list of chunks. */
export function skip(chunks: Uint8Array[], sent: number): Uint8Array[] {
  let first = 0
  let left = sent
  while (first < chunks.length && left >= chunks[first].length) left -= chunks[first++].length
  const rest = first === 0 ? chunks : chunks.slice(first)
  if (left > 0) rest[0] = rest[0].subarray(left)
  return rest
}
