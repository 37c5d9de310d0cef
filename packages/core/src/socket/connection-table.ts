/**
 * Who owns each connection of a process: one row a descriptor, in memory that all threads of the process share.
 *
 *   FREE ── enter ─▶ unit ── park ─▶ PARKED ── queue ─▶ QUEUED ── claim ─▶ unit ── leave ─▶ FREE
 *
 * A row is written by the thread that owns it; ownership itself changes by one atomic store or compare-and-exchange. So
 * when a thread dies the host knows what was its, what has been parked too long can be reaped, and a drain knows whom it
 * waits for.
 */

import { Block, close, descriptorLimit } from '../posix/index.js'

/** Owners that are no unit; units are 1 and up. */
export const FREE = 0
/** Watched by a demultiplexer, on no thread. */
export const PARKED = -1
/** Ready, in a queue, on its way to a thread. */
export const QUEUED = -2

/** The cells of a row. */
const OWNER = 0
const SINCE = 1
const DEADLINE = 2
const FLAGS = 3
const LEFT_LOW = 4
const LEFT_HIGH = 5
const LEFT_SIZE = 6
const UNPARSED = 7
const UNSENT = 8
const QUEUED_AT = 9
const ROW = 10

/** The header has one cell in use: the highest descriptor ever entered. */
const HIGHEST = 0
const HEADER = 8

/** The most descriptors a table has rows for; its memory is committed only as rows are used. */
const MOST_ROWS = 1 << 20

/** What a thread leaves behind when it parks a connection, for the thread that takes it up. */
export interface Left {
  /** When the client's time began to run, on the clock of the table (ms, wrapping at 2^31). */
  readonly since: number
  /** Milliseconds from then after which the connection is to be ended; 0: never. */
  readonly limit: number
  /** Bits whose meaning is the connection's own. */
  readonly flags: number
  /** Where bytes wait, and how many there were at first; 0 where there are none. */
  readonly address: number
  readonly size: number
  /** Bytes at the beginning that were received and are not yet parsed. */
  readonly unparsed: number
  /** Bytes at the end that were written and are not yet sent. */
  readonly unsent: number
}

export class ConnectionTable {
  readonly capacity: number
  readonly #cells: Int32Array

  private constructor(cells: Int32Array) {
    this.#cells = cells
    this.capacity = (cells.length - HEADER) / ROW
  }

  /** Makes a table for every descriptor this process may have. */
  static create(): ConnectionTable {
    const rows = Math.min(descriptorLimit().hard, MOST_ROWS)
    return new ConnectionTable(new Int32Array(new SharedArrayBuffer((HEADER + rows * ROW) * 4)))
  }

  /** Opens the table that another thread shared. */
  static from(shared: { readonly buffer: SharedArrayBuffer }): ConnectionTable {
    return new ConnectionTable(new Int32Array(shared.buffer))
  }

  share(): { readonly buffer: SharedArrayBuffer } {
    return { buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Enters an accepted connection. Returns false where the table has no row for its descriptor. */
  enter(fd: number, owner: number): boolean {
    if (fd >= this.capacity) return false
    this.#cells[HEADER + fd * ROW + FLAGS] = 0
    Atomics.store(this.#cells, HEADER + fd * ROW + OWNER, owner) // makes the row visible to the host
    if (fd > this.#cells[HIGHEST]) this.#raise(fd)
    return true
  }

  /** Frees the row. Owner only, before it closes the descriptor: afterwards the number may be another connection's. */
  leave(fd: number): void {
    Atomics.store(this.#cells, HEADER + fd * ROW + OWNER, FREE) // publishes that nobody need close it any more
  }

  /** Gives the connection up with what is left of it. Owner only, before it arms the demultiplexer. */
  park(fd: number, left: Left): void {
    this.#write(fd, left)
    Atomics.store(this.#cells, HEADER + fd * ROW + OWNER, PARKED) // publishes what was left to the thread that claims
  }

  /** Gives a connection that was just accepted to whoever takes it from a queue. Owner only. */
  pass(fd: number, left: Left): void {
    this.#write(fd, left)
    Atomics.store(this.#cells, HEADER + fd * ROW + OWNER, QUEUED) // publishes the row to the thread that claims
  }

  /** Moves a parked connection to the queue; false where it is parked no more. */
  queue(fd: number): boolean {
    return this.#exchange(fd, PARKED, QUEUED)
  }

  /** Notes when a connection was queued, in milliseconds of the monotonic clock. Whoever queues it, before others can take it. */
  stamp(fd: number, time: number): void {
    this.#cells[HEADER + fd * ROW + QUEUED_AT] = time * 1000 // in µs, wrapping at 2^32
  }

  /** Milliseconds, with a fraction, for which a connection has been queued; it may be half an hour. Owner only. */
  queuedFor(fd: number, time: number): number {
    return Math.max(0, (time * 1000 - this.#cells[HEADER + fd * ROW + QUEUED_AT]) | 0) / 1000
  }

  /** Takes a queued connection; false where somebody else was first. */
  claim(fd: number, owner: number): boolean {
    return this.#exchange(fd, QUEUED, owner)
  }

  /** Takes a parked connection out of turn, to end it; false where it is parked no more. */
  reclaim(fd: number, owner: number): boolean {
    return this.#exchange(fd, PARKED, owner)
  }

  /** What the last owner left. Owner only. */
  left(fd: number): Left {
    const row = HEADER + fd * ROW
    const cells = this.#cells
    const limit = (cells[row + DEADLINE] - cells[row + SINCE]) | 0
    const address = cells[row + LEFT_HIGH] * 2 ** 32 + (cells[row + LEFT_LOW] >>> 0)
    return {
      since: cells[row + SINCE],
      limit,
      flags: cells[row + FLAGS],
      address,
      size: cells[row + LEFT_SIZE],
      unparsed: cells[row + UNPARSED],
      unsent: cells[row + UNSENT],
    }
  }

  owner(fd: number): number {
    return Atomics.load(this.#cells, HEADER + fd * ROW + OWNER)
  }

  /** Lists the descriptors of an owner, a unit or {@link PARKED} or {@link QUEUED}. Any thread. */
  *ownedBy(owner: number): Generator<number> {
    for (let fd = 0; fd <= this.#cells[HIGHEST]; fd++) if (this.owner(fd) === owner) yield fd
  }

  /** Closes what is left when all threads have ended, parked or queued or whoever had it; returns how many there were. */
  closeAll(): number {
    let closed = 0
    for (let fd = 0; fd <= this.#cells[HIGHEST]; fd++) {
      const owner = this.owner(fd)
      if (owner === FREE) continue
      const { address, size } = this.left(fd)
      if (owner < 0 && address !== 0) Block.at(address, size).free()
      this.leave(fd)
      close(fd)
      closed++
    }
    return closed
  }

  /** Lists the parked descriptors whose time is up. Any thread. */
  *overdue(now: number): Generator<number> {
    for (const fd of this.ownedBy(PARKED)) {
      const { since, limit } = this.left(fd)
      if (limit > 0 && ((now - since) | 0) >= limit) yield fd
    }
  }

  /** The number of connections that somebody owns, or that are parked or queued. */
  get size(): number {
    let size = 0
    for (let fd = 0; fd <= this.#cells[HIGHEST]; fd++) if (this.owner(fd) !== FREE) size++
    return size
  }

  #write(fd: number, left: Left): void {
    const row = HEADER + fd * ROW
    this.#cells[row + SINCE] = left.since
    this.#cells[row + DEADLINE] = left.since + left.limit
    this.#cells[row + FLAGS] = left.flags
    this.#cells[row + LEFT_LOW] = left.address
    this.#cells[row + LEFT_HIGH] = left.address / 2 ** 32
    this.#cells[row + LEFT_SIZE] = left.size
    this.#cells[row + UNPARSED] = left.unparsed
    this.#cells[row + UNSENT] = left.unsent
  }

  #exchange(fd: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#cells, HEADER + fd * ROW + OWNER, from, to) === from
  }

  #raise(fd: number): void {
    let highest = Atomics.load(this.#cells, HIGHEST)
    while (fd > highest) {
      const found = Atomics.compareExchange(this.#cells, HIGHEST, highest, fd)
      if (found === highest) return
      highest = found
    }
  }
}
