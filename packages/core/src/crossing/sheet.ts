/** One record on its way into a ring or out of it: some words, then bytes. A thread uses a few sheets again and again. */

import { Block } from '../posix/index.js'
import type { RecordRing } from '../sync/index.js'

/** Bytes of the largest record that goes into a ring; what is larger lies in memory of its own, and the ring tells where. */
export const RECORD_BYTES: number = 96 * 1024

/** Words that every record has; the bytes follow. */
export const KIND = 0
export const ID = 1
/** The number of the thread that sends it. */
export const SENDER = 2
export const FLAGS = 3
/** What these say depends on the kind. */
export const A = 4
export const B = 5
export const C = 6
export const D = 7
export const E = 8
export const STAMP = 9
export const PAYLOAD = 40

/** A record in the place of another that does not fit: A is its length, B and C its address. */
const ELSEWHERE = 0

export class Sheet {
  bytes!: Buffer
  words!: Int32Array
  length = 0

  constructor(bytes: number = RECORD_BYTES) {
    this.#resize(bytes)
  }

  /** Becomes a copy of another. */
  copy(other: Sheet): void {
    if (other.length > this.bytes.length) this.#resize(other.length)
    this.length = other.length
    this.bytes.set(other.bytes.subarray(0, other.length))
  }

  /** Starts a record with so many bytes behind its words. */
  begin(kind: number, id: number, sender: number, bytes: number): void {
    this.length = PAYLOAD + bytes
    if (this.length > this.bytes.length) this.#resize(this.length)
    const { words } = this
    words[KIND] = kind
    words[ID] = id
    words[SENDER] = sender
    words[FLAGS] = 0
  }

  /** Writes itself into a ring if there is room. */
  tryWriteTo(ring: RecordRing): 'written' | 'full' | 'closed' {
    return this.#writeTo(ring, 0) as 'written' | 'full' | 'closed'
  }

  /** Writes itself into a ring, blocking for so long while there is no room; false where it had to give up, or it is closed. */
  writeTo(ring: RecordRing, timeoutMs: number = Number.POSITIVE_INFINITY): boolean {
    return this.#writeTo(ring, timeoutMs) === 'written'
  }

  /** Reads the next record out of a ring; false where there is none. */
  readFrom(ring: RecordRing): boolean {
    if (ring.used === 0) return false // one load, where a look under the lock costs two exchanges
    const length = ring.tryReadInto(this.bytes)
    if (typeof length !== 'number') return false
    this.length = length
    if (this.words[KIND] === ELSEWHERE) this.#fetch()
    return true
  }

  #writeTo(ring: RecordRing, timeoutMs: number): string {
    const block = this.length > RECORD_BYTES ? this.#leave() : undefined
    const outcome = ring.write(new Uint8Array(this.bytes.buffer, 0, this.length), timeoutMs)
    if (outcome === 'written') return outcome
    if (block !== undefined) this.#takeBack(block)
    return outcome === 'timed out' ? 'full' : outcome
  }

  /** Moves what is too long into memory of its own, and says where. */
  #leave(): Block {
    const block = Block.allocate(this.length)
    block.write(0, this.bytes, 0, this.length)
    this.begin(ELSEWHERE, 0, 0, 0)
    this.words[A] = block.size
    this.words[B] = block.address
    this.words[C] = block.address / 2 ** 32
    return block
  }

  #takeBack(block: Block): void {
    this.length = block.read(0, this.bytes, 0, block.size)
    block.free()
  }

  #fetch(): void {
    const { words } = this
    const block = Block.at((words[B] >>> 0) + words[C] * 2 ** 32, words[A])
    if (block.size > this.bytes.length) this.#resize(block.size)
    this.#takeBack(block)
  }

  #resize(bytes: number): void {
    this.bytes = Buffer.allocUnsafeSlow((bytes + 3) & ~3)
    this.words = new Int32Array(this.bytes.buffer, 0, PAYLOAD / 4)
  }
}
