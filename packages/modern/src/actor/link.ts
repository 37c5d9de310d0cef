/**
 * The way to another node: what is told within a turn becomes one batch, which goes out when the turn ends.
 *
 *   batch:   │ number, message │ number, message │ 0, kind, number, what │ …
 *   record:  │ source, flags │ a batch, or a piece of one that is larger │
 *
 * What is told is written down at once, so a message that is changed afterwards arrives as it was. Owner thread only.
 */

import { Decoder, Encoder } from './codec.js'
import { Gate } from './gate.js'
import type { Address } from './ref.js'
import { Ring } from './ring.js'
import type { Transport } from './transport.js'

/** Bytes after which a batch goes out though the turn has not ended: the other thread can begin. */
const BATCH_BYTES = 16 * 1024

const HEADER = 8
const FIRST = 1
const LAST = 2

/** What follows a 0, which is the number of no actor. */
export const SIGNALS = 1
export const CONTROL = 2

/** A batch that could not be sent as a whole, and how much of it was. */
interface Rest {
  readonly bytes: Buffer
  at: number
}

export class Link {
  readonly node: number
  /** Where senders wait while the other node has no room. */
  readonly gate: Gate = new Gate()
  /** Where senders wait for one of its actors, by number. */
  readonly gates: Map<number, Gate> = new Map()
  readonly #transport: Transport
  readonly #encoder: Encoder
  readonly #rests = new Ring<Rest>()

  constructor(transport: Transport, node: number, known: (ref: Address) => void) {
    this.node = node
    this.#transport = transport
    this.#encoder = new Encoder(HEADER, known)
  }

  /** True where the other node has been sent more than it takes. */
  get isCongested(): boolean {
    return this.#rests.size > 0
  }

  /** Writes a message to an actor. @throws NotSendableError */
  write(id: number, message: unknown): void {
    this.#encoder.write(0, id, message, 'message')
    if (this.#encoder.bytes.length >= BATCH_BYTES) this.flush()
  }

  /** Writes something else. @throws NotSendableError, with a path that begins at `root` */
  writeKind(kind: number, id: number, value: unknown, root: string): void {
    this.#encoder.write(kind, id, value, root)
  }

  /** Sends what there is, as far as the other node has room; false where something is left. */
  flush(): boolean {
    while (this.#rests.size > 0) {
      const rest = this.#rests.shift()
      if (!this.#sendPieces(rest)) {
        this.#rests.unshift(rest)
        return false
      }
    }
    if (!this.#encoder.isEmpty) this.#flushBatch()
    if (this.#rests.size > 0) return false
    if (!this.gate.empty) this.gate.open()
    return true
  }

  /** Throws away what was not sent: the node is gone. */
  clear(): void {
    this.#encoder.clear()
    for (const _ of this.#rests.drain());
    this.gate.open()
    for (const gate of this.gates.values()) gate.open()
    this.gates.clear()
  }

  #flushBatch(): void {
    const { bytes } = this.#encoder
    if (bytes.length > this.#transport.largest || !this.#send(bytes, FIRST | LAST)) {
      const rest = { bytes: Buffer.from(bytes.subarray(HEADER)), at: 0 }
      if (!this.#sendPieces(rest)) this.#rests.push(rest)
    }
    this.#encoder.clear()
  }

  /** Sends a batch in pieces, or what is left of it; false where there is no room. */
  #sendPieces(rest: Rest): boolean {
    const { bytes } = rest
    while (rest.at < bytes.length) {
      const end = Math.min(bytes.length, rest.at + this.#transport.largest - HEADER)
      const record = Buffer.allocUnsafe(HEADER + end - rest.at)
      bytes.copy(record, HEADER, rest.at, end)
      const flags = (rest.at === 0 ? FIRST : 0) | (end === bytes.length ? LAST : 0)
      if (!this.#send(record, flags)) return false
      rest.at = end
    }
    return true
  }

  #send(record: Buffer, flags: number): boolean {
    record.writeInt32LE(this.#transport.node, 0)
    record.writeInt32LE(flags, 4)
    return this.#transport.send(this.node, record) !== 'full'
  }
}

/** Whom a {@link Receiver} tells what came. */
export interface Recipient {
  message(source: number, id: number, message: unknown): void
  other(source: number, kind: number, id: number, value: unknown): void
  readonly refOf: (node: number, id: number, path: string) => Address
}

/** Puts records together again and reads the batches. */
export class Receiver {
  readonly #recipient: Recipient
  /** Pieces of batches of which more is to come, by their source. */
  readonly #pieces = new Map<number, Buffer[]>()

  readonly #transport: Transport
  readonly #record: Buffer
  readonly #decoder: Decoder

  constructor(transport: Transport, recipient: Recipient) {
    this.#transport = transport
    this.#recipient = recipient
    this.#record = Buffer.allocUnsafeSlow(transport.largest)
    this.#decoder = new Decoder(this.#record, recipient.refOf)
  }

  /** Reads the next record, and a batch if that completes one; false where there is none. */
  take(): boolean {
    const length = this.#transport.receive(this.#record)
    if (length < 0) return false
    this.#join(length)
    return true
  }

  #join(length: number): void {
    const record = this.#record
    const source = record.readInt32LE(0)
    const flags = record.readInt32LE(4)
    if (flags === (FIRST | LAST)) return this.#read(source, this.#decoder, HEADER, length)
    if (flags & FIRST) this.#pieces.set(source, [])
    const pieces = this.#pieces.get(source)
    if (pieces === undefined) return // the beginning went to a thread that died
    pieces.push(Buffer.from(record.subarray(HEADER, length)))
    if ((flags & LAST) === 0) return
    this.#pieces.delete(source)
    const batch = Buffer.concat(pieces)
    this.#read(source, new Decoder(batch, this.#recipient.refOf), 0, batch.length)
  }

  #read(source: number, decoder: Decoder, start: number, end: number): void {
    const recipient = this.#recipient
    decoder.open(start, end)
    while (!decoder.isAtEnd) {
      const id = decoder.unsigned()
      if (id !== 0) recipient.message(source, id, decoder.value())
      else recipient.other(source, decoder.unsigned(), decoder.unsigned(), decoder.value())
    }
  }
}
