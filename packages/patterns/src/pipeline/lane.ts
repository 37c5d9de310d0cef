/**
 * The bounded queue in front of one thread of a stage, and what it says of itself. Records go in from any thread, in order, and
 * whoever puts one waits while it is full: a stage that is slow holds up the one before it, and nothing is dropped.
 */

import { Bell, type Sheet } from '@cs/core/crossing'
import { type SharedWakeup, Wakeup } from '@cs/core/demux'
import { RecordRing, registerShareable, type Shareable, type Shared } from '@cs/core/sync'

const KIND = 'pipeline-lane'

/** The bell of the thread that takes. */
const BELL = 0
/** Records inside, and the most that ever were. */
const DEPTH = 1
const HIGH_WATER = 2
const CELLS = 3

interface SharedLane extends Shared {
  readonly ring: Shared
  readonly wakeup: SharedWakeup | undefined
}

export interface LaneReport {
  readonly depth: number
  readonly highWater: number
}

export class Lane implements Shareable {
  readonly #cells: Int32Array
  readonly #ring: RecordRing
  /** What wakes its thread out of a demultiplexer, where it waits in one. */
  readonly wakeup: Wakeup | undefined
  readonly bell: Bell
  /** Whether something was put by this thread of which nobody has been told. */
  #owesCall = false

  private constructor(buffer: SharedArrayBuffer, ring: RecordRing, wakeup: Wakeup | undefined) {
    this.#cells = new Int32Array(buffer)
    this.#ring = ring
    this.wakeup = wakeup
    this.bell = new Bell(this.#cells, BELL, wakeup)
  }

  /** Makes a lane for records of so many bytes together; `wakeup` for a thread that may wait in a demultiplexer. */
  static create(bytes: number, wakeup?: Wakeup): Lane {
    return new Lane(new SharedArrayBuffer(CELLS * 4), RecordRing.create(bytes), wakeup)
  }

  static from(shared: Shared): Lane {
    const { buffer, ring, wakeup } = shared as SharedLane
    return new Lane(buffer, RecordRing.from(ring), wakeup === undefined ? undefined : Wakeup.from(wakeup))
  }

  share(): Shared {
    const shared: SharedLane = {
      kind: KIND,
      buffer: this.#cells.buffer as SharedArrayBuffer,
      ring: this.#ring.share(),
      wakeup: this.wakeup?.share(),
    }
    return shared
  }

  /** Puts a record, of which {@link call} is to tell; calls whoever `callAll` calls before it blocks for room. Any thread. */
  put(sheet: Sheet, callAll: () => void): void {
    if (sheet.tryWriteTo(this.#ring) === 'full') {
      callAll()
      sheet.writeTo(this.#ring)
    }
    const depth = Atomics.add(this.#cells, DEPTH, 1) + 1
    if (depth > this.#cells[HIGH_WATER]) this.#cells[HIGH_WATER] = depth // a statistic: one may be lost
    this.#owesCall = true
  }

  /** Rings for the one who takes, once for all that this thread has put. Any thread. */
  call(bell: Bell = this.bell): void {
    if (!this.#owesCall) return
    this.#owesCall = false
    bell.ring()
  }

  /** Takes the next record; false where there is none. One thread. */
  take(sheet: Sheet): boolean {
    if (!sheet.readFrom(this.#ring)) return false
    Atomics.sub(this.#cells, DEPTH, 1)
    return true
  }

  get isEmpty(): boolean {
    return this.#ring.used === 0
  }

  get report(): LaneReport {
    return { depth: Math.max(0, Atomics.load(this.#cells, DEPTH)), highWater: this.#cells[HIGH_WATER] }
  }
}

registerShareable(KIND, Lane)
