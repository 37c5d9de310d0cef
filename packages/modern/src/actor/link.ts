/**
 * The way to another node: what is told within a turn becomes one batch, which goes out in records when the turn ends.
 *
 *   batch:   │ number, message │ number, message │ 0, kind, number, what │ …      (V8's serialization, one header for all)
 *   record:  │ source, flags, count │ a piece of a batch │                        a batch may take several
 *
 * Writing serializes, so a message that is changed afterwards arrives as it was. Owner thread only.
 */

import { DefaultDeserializer, DefaultSerializer } from 'node:v8'
import { Gate } from './gate.js'
import { Ring } from './ring.js'
import type { Transport } from './transport.js'

/** Messages after which a batch goes out though the turn has not ended: the other thread can begin. */
const BATCH = 512

/** Bytes of a record at most; the ring must have room for several. */
const LARGEST_RECORD = 64 * 1024

const HEADER = 12
const FIRST = 1
const LAST = 2

/** What follows a 0: the rest of the kinds. The number of a message that is plain stands for itself. */
export const WITH_REFS = 1
export const SIGNALS = 2
export const CONTROL = 3

interface Batch {
  readonly bytes: Buffer
  readonly count: number
  sent: number
}

export class Link {
  readonly node: number
  /** Where senders wait while the ring of the other node is full. */
  readonly gate: Gate = new Gate()
  /** Where senders wait for one of its actors, by number. */
  readonly gates: Map<number, Gate> = new Map()
  readonly #transport: Transport
  #serializer: DefaultSerializer | undefined
  #count = 0
  readonly #batches = new Ring<Batch>()
  readonly #record: Buffer

  constructor(transport: Transport, node: number) {
    this.node = node
    this.#transport = transport
    this.#record = Buffer.allocUnsafeSlow(Math.min(LARGEST_RECORD, transport.largest))
  }

  /** True where the other node has been sent more than it takes. */
  get isCongested(): boolean {
    return this.#batches.size > 0
  }

  /** Writes a message that travels as it is. */
  write(id: number, message: unknown): void {
    const serializer = this.#open()
    serializer.writeUint32(id)
    serializer.writeValue(message)
    if (++this.#count >= BATCH) this.flush()
  }

  /** Writes anything else, packed. */
  writeKind(kind: number, id: number, value: unknown): void {
    const serializer = this.#open()
    serializer.writeUint32(0)
    serializer.writeUint32(kind)
    serializer.writeUint32(id)
    serializer.writeValue(value)
    if (++this.#count >= BATCH) this.flush()
  }

  /** Sends what there is, as far as the other node has room; false where something is left. */
  flush(): boolean {
    this.#seal()
    const batches = this.#batches
    while (batches.size > 0) {
      const batch = batches.shift()
      if (!this.#send(batch)) {
        batches.unshift(batch)
        return false
      }
    }
    if (!this.gate.empty) this.gate.open()
    return true
  }

  /** Throws away what was not sent: the node is gone. */
  clear(): void {
    this.#serializer = undefined
    this.#count = 0
    for (const _ of this.#batches.drain());
    this.gate.open()
    for (const gate of this.gates.values()) gate.open()
    this.gates.clear()
  }

  #open(): DefaultSerializer {
    if (this.#serializer === undefined) {
      this.#serializer = new DefaultSerializer()
      this.#serializer.writeHeader()
    }
    return this.#serializer
  }

  #seal(): void {
    if (this.#serializer === undefined) return
    this.#batches.push({ bytes: this.#serializer.releaseBuffer(), count: this.#count, sent: 0 })
    this.#serializer = undefined
    this.#count = 0
  }

  /** Sends a batch, or what is left of it; false where there is no room. */
  #send(batch: Batch): boolean {
    const record = this.#record
    const { bytes, count } = batch
    while (batch.sent < bytes.length) {
      const size = Math.min(bytes.length - batch.sent, record.length - HEADER)
      const flags = (batch.sent === 0 ? FIRST : 0) | (batch.sent + size === bytes.length ? LAST : 0)
      record.writeInt32LE(this.#transport.node, 0)
      record.writeInt32LE(flags, 4)
      record.writeInt32LE(count, 8)
      bytes.copy(record, HEADER, batch.sent, batch.sent + size)
      const outcome = this.#transport.send(this.node, record.subarray(0, HEADER + size))
      if (outcome === 'full') return false
      batch.sent += size
    }
    return true
  }
}

/** Whom a {@link Receiver} tells what came. */
export interface Recipient {
  message(source: number, id: number, message: unknown): void
  packed(source: number, kind: number, id: number, value: unknown): void
}

/** Puts records together again and reads the batches. */
export class Receiver {
  readonly #recipient: Recipient
  /** Pieces of batches of which more is to come, by their source. */
  readonly #pieces = new Map<number, Buffer[]>()

  constructor(recipient: Recipient) {
    this.#recipient = recipient
  }

  take({ buffer, byteOffset, length }: Uint8Array): void {
    const record = Buffer.from(buffer, byteOffset, length)
    const source = record.readInt32LE(0)
    const flags = record.readInt32LE(4)
    const piece = record.subarray(HEADER)
    if ((flags & (FIRST | LAST)) === (FIRST | LAST)) return this.#read(source, record.readInt32LE(8), piece)
    if (flags & FIRST) this.#pieces.set(source, [])
    const pieces = this.#pieces.get(source)
    if (pieces === undefined) return // the beginning went to a thread that died
    pieces.push(piece)
    if ((flags & LAST) === 0) return
    this.#pieces.delete(source)
    this.#read(source, record.readInt32LE(8), Buffer.concat(pieces))
  }

  #read(source: number, count: number, bytes: Buffer): void {
    const deserializer = new DefaultDeserializer(bytes)
    deserializer.readHeader()
    for (let i = 0; i < count; i++) {
      const id = deserializer.readUint32()
      if (id !== 0) this.#recipient.message(source, id, deserializer.readValue())
      else {
        const kind = deserializer.readUint32()
        this.#recipient.packed(source, kind, deserializer.readUint32(), deserializer.readValue())
      }
    }
  }
}
