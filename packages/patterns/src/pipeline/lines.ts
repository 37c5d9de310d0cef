/**
 * What the stages know of each connection in common: a line of cells for each descriptor, in memory that all threads share.
 *
 * The stage that reads and the one that writes each leave a connection when they will never touch its descriptor again, and
 * whichever leaves last closes it: so no number is another connection's while somebody still uses it.
 */

import { close, descriptorLimit } from '@cs/core/posix'
import { registerShareable, type Shareable, type Shared } from '@cs/core/sync'

const KIND = 'pipeline-lines'

/** Which of the connections that had this descriptor it is. Written by the reader, before anybody else knows of it. */
const SERIAL = 0
/** The unit that owns it in the connection table. Likewise. */
const OWNER = 1
/** The thread of the read stage that watches it. Likewise. */
const READER = 2
/** Bits, below. */
const STATE = 3
/** Bytes on their way to the client that it has not taken. The parser adds, the writer subtracts. */
const QUEUED = 4
const LINE = 5

export const READ_LEFT = 1
export const WRITE_LEFT = 2
/** The parser has enough, and the reader is to look away. */
export const PAUSED = 4
/** The parser waits for the writer to have room for more. */
export const BLOCKED = 8
/** The client takes no more. */
export const BROKEN = 16

const MOST_LINES = 1 << 20

/** The cell that counts serials. */
const NEXT = 0
const HEADER = 4

export class Lines implements Shareable {
  readonly #cells: Int32Array

  private constructor(cells: Int32Array) {
    this.#cells = cells
  }

  /** Makes lines for every descriptor that this process may have; their memory is committed only as they are used. */
  static create(): Lines {
    const lines = Math.min(descriptorLimit().hard, MOST_LINES)
    return new Lines(new Int32Array(new SharedArrayBuffer((HEADER + lines * LINE) * 4)))
  }

  static from({ buffer }: Shared): Lines {
    return new Lines(new Int32Array(buffer))
  }

  share(): Shared {
    return { kind: KIND, buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Begins the line of a connection that was just accepted, and returns its serial. */
  begin(fd: number, owner: number, reader: number): number {
    const cells = this.#cells
    const line = HEADER + fd * LINE
    const serial = Atomics.add(cells, NEXT, 1)
    cells[line + SERIAL] = serial
    cells[line + OWNER] = owner
    cells[line + READER] = reader
    cells[line + QUEUED] = 0
    Atomics.store(cells, line + STATE, 0) // publishes the line to whoever is told of the connection
    return serial
  }

  serial(fd: number): number {
    return this.#cells[HEADER + fd * LINE + SERIAL]
  }

  owner(fd: number): number {
    return this.#cells[HEADER + fd * LINE + OWNER]
  }

  reader(fd: number): number {
    return this.#cells[HEADER + fd * LINE + READER]
  }

  /** True where the state has this bit. */
  is(fd: number, bit: number): boolean {
    return (Atomics.load(this.#cells, HEADER + fd * LINE + STATE) & bit) !== 0
  }

  /** Sets a bit of the state; tells whether it was set before. */
  set(fd: number, bit: number): boolean {
    return (Atomics.or(this.#cells, HEADER + fd * LINE + STATE, bit) & bit) !== 0
  }

  /** Takes a bit of the state away; tells whether it was set. */
  clear(fd: number, bit: number): boolean {
    return (Atomics.and(this.#cells, HEADER + fd * LINE + STATE, ~bit) & bit) !== 0
  }

  /** Bytes that are on their way to the client. */
  queued(fd: number): number {
    return Atomics.load(this.#cells, HEADER + fd * LINE + QUEUED)
  }

  /** Adds to them, and returns how many there are then. */
  queue(fd: number, bytes: number): number {
    return Atomics.add(this.#cells, HEADER + fd * LINE + QUEUED, bytes) + bytes
  }

  /** Leaves a connection for one stage; the one that leaves last closes it, and calls `closing` just before. */
  leave(fd: number, bit: typeof READ_LEFT | typeof WRITE_LEFT, closing: (fd: number) => void): void {
    const before = Atomics.or(this.#cells, HEADER + fd * LINE + STATE, bit)
    if ((before & bit) !== 0 || (before & (READ_LEFT | WRITE_LEFT)) === 0) return
    closing(fd)
    close(fd)
  }
}

registerShareable(KIND, Lines)
