/**
 * The body of an incoming request between the machine, which pushes what arrives, and the app, which reads it whole or as
 * a stream, or never. Bytes that nobody asked for wait here up to the high-water mark; beyond it reading pauses.
 */

import type { ReadableByteStreamController } from 'node:stream/web'
import { BODY_HIGH_WATER } from './limits.js'

const UNREAD = 0
const GATHERING = 1
const STREAMING = 2
const DISCARDING = 3

/** Bytes of memory taken at once where a body arrives in pieces, so that tiny pieces do not cost an array each. */
const SEGMENT = 16 * 1024

/** A request body as it arrives. Owner thread only. */
export class RequestBody {
  /** True once the last byte has been pushed, or it is known that it will never come. */
  ended = false
  /** True while the app waits for bytes that have not come: a blocking model then reads, whatever else waits. */
  demanded = false
  #mode = UNREAD
  #chunks: Uint8Array[] = []
  #size = 0
  /** Bytes that still fit behind the last chunk, in the same memory. */
  #room = 0
  #failure: Error | undefined
  #wake: (() => void) | undefined
  readonly #onDemand: () => void

  /** @param onDemand called, until the body has ended, when the app starts to wait for bytes or makes room for more. */
  constructor(onDemand: () => void) {
    this.#onDemand = onDemand
  }

  /** True while bytes pushed now would be read, kept within bounds, or thrown away. */
  get wanted(): boolean {
    return !this.ended && (this.#mode === GATHERING || this.#mode === DISCARDING || this.#size < BODY_HIGH_WATER)
  }

  /** True once the app has asked for the body and not cancelled it. */
  get used(): boolean {
    return this.#mode === GATHERING || this.#mode === STREAMING
  }

  /** True while the app waits for the whole body, which needs nothing more of it. */
  get gathering(): boolean {
    return this.#mode === GATHERING
  }

  /** Bytes that have been pushed and not yet read. */
  get waiting(): number {
    return this.#size
  }

  /** Takes bytes that belong to the caller; they are copied unless nobody will read them. */
  push(bytes: Uint8Array): void {
    if (this.#mode === DISCARDING || this.ended) return
    this.#size += bytes.length
    const fits = Math.min(this.#room, bytes.length)
    if (fits > 0) this.#extend(bytes.subarray(0, fits))
    if (fits < bytes.length) this.#append(bytes.subarray(fits))
    if (this.#mode === STREAMING) this.#notify()
  }

  /** Says that the body is complete. */
  end(): void {
    this.ended = true
    this.#notify()
  }

  /** Fails what reads the body now or later. */
  fail(error: Error): void {
    if (this.ended) return
    this.ended = true
    this.#failure = error
    this.#drop()
    this.#notify()
  }

  /** Throws away what has come and what will; `failure` is what somebody who still reads gets to know. */
  discard(failure?: Error): void {
    this.#mode = DISCARDING
    this.#failure ??= failure
    this.#drop()
    this.#notify()
    if (!this.ended) this.#onDemand()
  }

  /**
   * Reads the body whole: at once where it has arrived, otherwise by a promise.
   * @throws the failure of the connection, such as a client that vanished or a malformed chunk.
   */
  buffered(): Uint8Array | Promise<Uint8Array> {
    if (this.#mode === UNREAD) this.#mode = GATHERING
    return this.#isOver ? this.#takeAll() : this.#gather()
  }

  /** Reads the body as a byte stream whose backpressure reaches the client's TCP window. */
  stream(): ReadableStream<Uint8Array> {
    if (this.#mode === UNREAD) this.#mode = STREAMING
    return new ReadableStream({
      type: 'bytes',
      pull: (controller) => this.#pull(controller),
      cancel: () => this.discard(),
    })
  }

  get #isOver(): boolean {
    return this.ended || this.#failure !== undefined
  }

  async #pull(controller: ReadableByteStreamController): Promise<void> {
    while (this.#chunks.length === 0 && !this.#isOver) await this.#more()
    if (this.#failure) throw this.#failure
    for (const chunk of this.#takeChunks()) controller.enqueue(chunk as Uint8Array<ArrayBuffer>)
    if (!this.ended || this.#chunks.length > 0) return // making room may have brought the rest at once
    controller.close()
    controller.byobRequest?.respond(0) // a reader with a buffer of its own waits for an answer even at the end
  }

  async #gather(): Promise<Uint8Array> {
    while (!this.#isOver) await this.#more()
    return this.#takeAll()
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
      this.demanded = true
      this.#onDemand()
    })
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = undefined
    this.demanded = false
    wake?.()
  }

  #takeAll(): Uint8Array {
    if (this.#failure) throw this.#failure
    const chunks = this.#takeChunks()
    return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
  }

  /** Hands over what waits here; where that had reached the high-water mark, reading goes on. */
  #takeChunks(): Uint8Array[] {
    const chunks = this.#chunks
    const paused = this.#size >= BODY_HIGH_WATER && !this.ended
    this.#drop()
    if (paused) this.#onDemand()
    return chunks
  }

  /** Adds memory of its own, never Node's pool: a byte stream transfers what it is given. */
  #append(bytes: Uint8Array): void {
    const capacity = this.#chunks.length === 0 ? bytes.length : Math.max(bytes.length, SEGMENT)
    const memory = new Uint8Array(capacity)
    memory.set(bytes)
    this.#chunks.push(memory.subarray(0, bytes.length))
    this.#room = capacity - bytes.length
  }

  #extend(bytes: Uint8Array): void {
    const last = this.#chunks.length - 1
    const { buffer, length } = this.#chunks[last]
    const longer = new Uint8Array(buffer, 0, length + bytes.length)
    longer.set(bytes, length)
    this.#chunks[last] = longer
    this.#room -= bytes.length
  }

  #drop(): void {
    this.#chunks = []
    this.#size = 0
    this.#room = 0
  }
}
