/**
 * A ring of byte messages between threads: requests one way, responses the other.
 *
 *   │ length │ bytes, padded to 4 │ length │ bytes … │ free │       A message may go past the end and on at the start;
 *   ▲ HEAD                                           ▲ HEAD + USED its length never does, as all is aligned to 4 bytes.
 *
 * One lock guards everything, held for a copy of one message. A write wakes one sleeping reader, or none if all are
 * awake.
 */
import { advance, COUNTER_CELLS, total } from './counter.js'
import { deadlineAfter } from './deadline.js'
import { lock, unlock } from './mutex.js'
import { inRange } from './range.js'
import { receive, type Shared } from './shared.js'
import { call, idle, park, TURNSTILE_CELLS, wake } from './turnstile.js'

/** Guards every other cell and the bytes; what is read without it is read for statistics. */
const LOCK = 0
const READERS = 1
const WRITERS: number = READERS + TURNSTILE_CELLS
/** Messages written, messages read. */
const WRITTEN: number = WRITERS + TURNSTILE_CELLS
const READ: number = WRITTEN + COUNTER_CELLS
/** Offset of the oldest message in the ring, in bytes. */
const HEAD: number = READ + COUNTER_CELLS
/** Bytes in use, with lengths and padding. */
const USED: number = HEAD + 1
/** The most bytes that were ever in use at once. */
const HIGH_WATER: number = USED + 1
/** 0 while open, 1 for ever after close(). */
const CLOSED: number = HIGH_WATER + 1
/** Written once, before the ring is shared. */
const CAPACITY: number = CLOSED + 1
const RING = 16

const LENGTH_BYTES = 4
const MAX_CAPACITY: number = 2 ** 28

/** Whether the message was written; if not, why. */
export type WriteResult = 'written' | 'closed' | 'timed out'

export interface RingStatistics {
  /** Messages written since the ring was created. */
  readonly written: number
  /** Messages read since the ring was created. */
  readonly read: number
  /** The most bytes that were ever in use at once, with lengths and padding. */
  readonly highWater: number
}

/**
 * Carries byte messages from threads to threads, in order, blocking writers while theirs does not fit and readers while
 * there is none. A message takes its length, padded to 4, and 4 bytes more. It is not fair by size: a large message may
 * wait while smaller ones of other threads go in.
 *
 * @example
 * const ring = RecordRing.create(65_536)
 * ring.write(encode(request))                              // one thread
 * for (const bytes of ring) handle(decode(bytes))          // another; ends when the ring is closed and drained
 */
export class RecordRing {
  readonly #cells: Int32Array
  readonly #bytes: Uint8Array
  readonly #capacity: number

  private constructor(cells: Int32Array) {
    this.#cells = cells
    this.#bytes = new Uint8Array(cells.buffer, 4 * RING)
    this.#capacity = cells[CAPACITY]
  }

  /**
   * Creates an empty ring for messages of up to `capacity` bytes (1..2^28) together; throws RangeError for another
   * number. Any thread.
   */
  static create(capacity: number): RecordRing {
    inRange('capacity', capacity, 1, MAX_CAPACITY)
    const cells = new Int32Array(new SharedArrayBuffer(4 * RING + recordBytes(capacity)))
    cells[CAPACITY] = capacity
    return new RecordRing(cells)
  }

  /** Opens the ring that another thread shared; throws TypeError for a descriptor of another kind. Any thread. */
  static from(shared: Shared): RecordRing {
    return new RecordRing(receive(shared, 'record-ring'))
  }

  /** Describes this ring for another thread. Any thread. */
  share(): Shared {
    return { kind: 'record-ring', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /**
   * Writes a copy of `message` (0..capacity bytes), blocking up to `timeoutMs` (0 or more, default Infinity) while it
   * does not fit; throws RangeError for a larger message or another timeout. Any thread.
   */
  write(message: Uint8Array, timeoutMs: number = Infinity): WriteResult {
    inRange('message length', message.length, 0, this.#capacity)
    const outcome = this.#lockWithRoom(recordBytes(message.length), deadlineAfter(timeoutMs))
    if (outcome !== 'locked') return outcome
    this.#append(message)
    this.#unlockAfterWrite(message.length)
    return 'written'
  }

  /** Writes a copy of `message` if it fits now, without blocking; throws RangeError if it never can. Any thread. */
  tryWrite(message: Uint8Array): 'written' | 'full' | 'closed' {
    const outcome = this.write(message, 0)
    return outcome === 'timed out' ? 'full' : outcome
  }

  /**
   * Takes out the oldest message, blocking up to `timeoutMs` (0 or more, default Infinity) while there is none; returns
   * 'closed' once the ring is closed and drained; throws RangeError for another timeout. Any thread.
   */
  read(timeoutMs: number = Infinity): Uint8Array<ArrayBuffer> | 'closed' | 'timed out' {
    const outcome = this.#lockWithMessage(deadlineAfter(timeoutMs))
    if (outcome !== 'locked') return outcome
    let writers = 0
    try {
      const message = new Uint8Array(this.#nextLength())
      writers = this.#moveTo(message, message.length)
      return message
    } finally {
      this.#unlockAndWake(WRITERS, writers)
    }
  }

  /** Takes out the oldest message if there is one, without blocking. Any thread. */
  tryRead(): Uint8Array<ArrayBuffer> | 'empty' | 'closed' {
    const outcome = this.read(0)
    return outcome === 'timed out' ? 'empty' : outcome
  }

  /**
   * Takes out the oldest message into the start of `buffer` and returns its length, blocking as read() does; throws
   * RangeError, and leaves the message where it is, if the buffer is too small. Any thread.
   */
  readInto(buffer: Uint8Array, timeoutMs: number = Infinity): number | 'closed' | 'timed out' {
    const outcome = this.#lockWithMessage(deadlineAfter(timeoutMs))
    if (outcome !== 'locked') return outcome
    let writers = 0
    try {
      const length = inRange('message length', this.#nextLength(), 0, buffer.length)
      writers = this.#moveTo(buffer, length)
      return length
    } finally {
      this.#unlockAndWake(WRITERS, writers)
    }
  }

  /** Does what readInto() does, without blocking. Any thread. */
  tryReadInto(buffer: Uint8Array): number | 'empty' | 'closed' {
    const outcome = this.readInto(buffer, 0)
    return outcome === 'timed out' ? 'empty' : outcome
  }

  /** Yields what read() returns, blocking, until the ring is closed and drained. Any thread. */
  *[Symbol.iterator](): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
    for (let message = this.read(); typeof message !== 'string'; message = this.read()) yield message
  }

  /** Closes the ring: every later write is refused, readers drain what is left, all that wait are woken. Any thread. */
  close(): void {
    lock(this.#cells, LOCK)
    this.#cells[CLOSED] = 1
    const readers = call(this.#cells, READERS, Infinity)
    const writers = call(this.#cells, WRITERS, Infinity)
    unlock(this.#cells, LOCK)
    wake(this.#cells, READERS, readers)
    wake(this.#cells, WRITERS, writers)
  }

  /** Tells whether close() was called. Any thread. */
  get closed(): boolean {
    return Atomics.load(this.#cells, CLOSED) === 1
  }

  /** Tells how many bytes the largest possible message has. Any thread. */
  get capacity(): number {
    return this.#capacity
  }

  /**
   * Tells how many bytes are in use at this moment, with lengths and padding: 0 when there is no message. Any thread.
   */
  get used(): number {
    return Atomics.load(this.#cells, USED)
  }

  /** Counts the threads that sleep in a read and have not been called. Any thread. */
  get waitingReaders(): number {
    return idle(this.#cells, READERS)
  }

  /** Counts the threads that sleep in a write and have not been called. Any thread. */
  get waitingWriters(): number {
    return idle(this.#cells, WRITERS)
  }

  /** Reads the counts of one moment. Any thread. */
  statistics(): RingStatistics {
    lock(this.#cells, LOCK)
    const written = total(this.#cells, WRITTEN)
    const read = total(this.#cells, READ)
    const highWater = this.#cells[HIGH_WATER]
    unlock(this.#cells, LOCK)
    return { written, read, highWater }
  }

  /** Returns with the lock held and `bytes` free, or else with neither. */
  #lockWithRoom(bytes: number, deadline: number): 'locked' | 'closed' | 'timed out' {
    const cells = this.#cells
    lock(cells, LOCK)
    while (cells[CLOSED] === 0) {
      if (this.#free() >= bytes) return 'locked'
      if (!park(cells, WRITERS, LOCK, deadline)) return this.#unlockWith('timed out')
    }
    return this.#unlockWith('closed')
  }

  /** Returns with the lock held and a message inside, or else with neither. */
  #lockWithMessage(deadline: number): 'locked' | 'closed' | 'timed out' {
    const cells = this.#cells
    lock(cells, LOCK)
    while (cells[USED] === 0) {
      if (cells[CLOSED] === 1) return this.#unlockWith('closed')
      if (!park(cells, READERS, LOCK, deadline)) return this.#unlockWith('timed out')
    }
    return 'locked'
  }

  #unlockWith<T>(outcome: T): T {
    unlock(this.#cells, LOCK)
    return outcome
  }

  #unlockAndWake(turnstile: number, threads: number): void {
    unlock(this.#cells, LOCK)
    wake(this.#cells, turnstile, threads)
  }

  /**
   * Calls a reader for the message and, as one read may have made room for several, the next writer for the room left.
   */
  #unlockAfterWrite(length: number): void {
    const readers = call(this.#cells, READERS, 1)
    const writers = this.#free() >= recordBytes(length) ? call(this.#cells, WRITERS, 1) : 0
    this.#unlockAndWake(READERS, readers)
    wake(this.#cells, WRITERS, writers)
  }

  #free(): number {
    return this.#bytes.length - this.#cells[USED]
  }

  /** Brings an offset of up to twice the ring back into it. */
  #wrap(offset: number): number {
    return offset < this.#bytes.length ? offset : offset - this.#bytes.length
  }

  #nextLength(): number {
    return this.#cells[RING + this.#cells[HEAD] / 4]
  }

  #append(message: Uint8Array): void {
    const cells = this.#cells
    const tail = this.#wrap(cells[HEAD] + cells[USED])
    cells[RING + tail / 4] = message.length
    this.#copyIn(message, this.#wrap(tail + LENGTH_BYTES))
    cells[USED] += recordBytes(message.length)
    if (cells[USED] > cells[HIGH_WATER]) cells[HIGH_WATER] = cells[USED]
    advance(cells, WRITTEN, 1)
  }

  /** Copies the oldest message out, frees its room and returns how many writers to wake for it. */
  #moveTo(buffer: Uint8Array, length: number): number {
    const cells = this.#cells
    this.#copyOut(buffer, length, this.#wrap(cells[HEAD] + LENGTH_BYTES))
    cells[HEAD] = this.#wrap(cells[HEAD] + recordBytes(length))
    cells[USED] -= recordBytes(length)
    advance(cells, READ, 1)
    return call(cells, WRITERS, 1)
  }

  #copyIn(message: Uint8Array, at: number): void {
    const first = this.#bytes.length - at
    this.#bytes.set(message.length <= first ? message : message.subarray(0, first), at)
    if (message.length > first) this.#bytes.set(message.subarray(first), 0)
  }

  #copyOut(buffer: Uint8Array, length: number, at: number): void {
    const first = this.#bytes.length - at
    buffer.set(this.#bytes.subarray(at, at + Math.min(length, first)))
    if (length > first) buffer.set(this.#bytes.subarray(0, length - first), first)
  }
}

/** The room a message takes: its length in front, padding behind. */
function recordBytes(length: number): number {
  return LENGTH_BYTES + ((length + 3) & ~3)
}
