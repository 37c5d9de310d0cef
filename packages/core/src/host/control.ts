/**
 * What the host and the units of a server tell each other without messages, since a blocked thread reads none: one word of
 * state for all, for each unit that runs its state, its orders and its counters, and for each child that a unit may fork a
 * state and counters. On a SharedArrayBuffer between threads, on a memfd between processes.
 */

import { COUNTERS, type Counts, countsOf } from '../connection/index.js'
import type { ChildRows } from '../loop/index.js'
import { close, memfd_create, mmapShared } from '../posix/index.js'

/** The server's state, written by the host alone. */
export const RUNNING = 0
/** Take no more connections, let requests finish. */
export const DRAINING = 1
/** Close everything. */
export const FORCED = 2

/** A unit's state, written by the host (STARTING, ENDED) and the unit (READY). */
export const STARTING = 0
export const READY = 1
export const ENDED = 2

/** What a unit is ordered, by the host alone. */
export const STAY = 0
/** Take no more connections, finish what there is, return; others go on taking from the same socket. */
export const LEAVE = 1
/** The same, and the socket is the unit's own: take what waits there, and close it. */
export const CLOSE = 2

const HEADER_WORDS = 4
const PHASE = 0 // words of the header
const CROWDED = 1
const UNIT_WORDS = 16
const STATE = 0 // words of a unit
const PID = 1
const TID = 2
const ORDER = 3
const PULSE = 4
const HELD = 5 // the first of those that hold descriptors, each plus one; 0 is none

/** How the block reaches another thread, or by its descriptor another process. */
export interface ControlHandle {
  readonly units: number
  /** Children that may be forked at once. */
  readonly children: number
  readonly buffer?: SharedArrayBuffer
  readonly fd?: number
}

export class Control {
  readonly units: number
  readonly children: ChildRows
  readonly #words: Int32Array
  readonly #counters: Float64Array
  readonly #handle: ControlHandle

  private constructor(handle: ControlHandle, buffer: ArrayBufferLike) {
    const { units, children } = handle
    this.units = units
    this.#handle = handle
    const words = wordsFor(handle)
    this.#words = new Int32Array(buffer, 0, words)
    this.#counters = new Float64Array(buffer, words * 4, (units + children) * COUNTERS)
    const states = HEADER_WORDS + units * UNIT_WORDS
    this.children = {
      crowded: this.#words.subarray(CROWDED, CROWDED + 1),
      states: this.#words.subarray(states, states + children),
      counters: this.#counters.subarray(units * COUNTERS),
    }
  }

  /** Makes the block of a server with so many units; `processes` tells whether some are processes of their own. */
  static create(units: number, processes: boolean, children = 0): Control {
    const size = bytesFor({ units, children })
    if (processes) return Control.open({ units, children, fd: memfd_create('cs-control', size) })
    return Control.open({ units, children, buffer: new SharedArrayBuffer(size) })
  }

  static open(handle: ControlHandle): Control {
    return new Control(handle, handle.buffer ?? mmapShared(handle.fd!, bytesFor(handle)).buffer)
  }

  get handle(): ControlHandle {
    return this.#handle
  }

  get phase(): number {
    return Atomics.load(this.#words, PHASE) // sees the host's last word
  }

  set phase(phase: number) {
    Atomics.store(this.#words, PHASE, phase) // makes the stop visible to units before they are woken
  }

  /** True once the server is to stop, in whichever way. */
  get stopping(): boolean {
    return this.phase !== RUNNING
  }

  unit(index: number): UnitCells {
    const start = HEADER_WORDS + index * UNIT_WORDS
    return new UnitCells(
      this.#words.subarray(start, start + UNIT_WORDS),
      this.#counters.subarray(index * COUNTERS, (index + 1) * COUNTERS),
    )
  }

  /** Gives the descriptor of shared memory between processes back; the mapping stays until the process ends. */
  close(): void {
    if (this.#handle.fd !== undefined) close(this.#handle.fd)
  }
}

/** The cells of one unit, from its start until the host has settled its end. */
export class UnitCells {
  readonly counters: Float64Array
  /** When the unit showed that it comes round, on the clock of its service; 0 while it has nothing in hand. */
  readonly pulse: Int32Array
  readonly #words: Int32Array

  constructor(words: Int32Array, counters: Float64Array) {
    this.#words = words
    this.pulse = words.subarray(PULSE, PULSE + 1)
    this.counters = counters
  }

  get state(): number {
    return Atomics.load(this.#words, STATE)
  }

  set state(state: number) {
    Atomics.store(this.#words, STATE, state) // publishes pid and tid, which are written before
  }

  get pid(): number {
    return this.#words[PID]
  }

  get tid(): number {
    return this.#words[TID]
  }

  get order(): number {
    return Atomics.load(this.#words, ORDER) // sees the host's last word for this unit
  }

  set order(order: number) {
    Atomics.store(this.#words, ORDER, order) // visible to the unit before it is woken
  }

  identify(pid: number, tid: number): void {
    this.#words[PID] = pid
    this.#words[TID] = tid
  }

  /**
   * Notes a descriptor that the unit has opened for itself, so that the host can close it if the unit dies; a unit that ends in
   * order closes its own. Unit only.
   * @throws Error where the unit holds as many as there is room for
   */
  hold(fd: number): void {
    const free = this.#words.indexOf(0, HELD)
    if (free < 0) throw new Error(`a unit holds ${UNIT_WORDS - HELD} descriptors of its own at most`)
    Atomics.store(this.#words, free, fd + 1) // visible to the host from the moment the descriptor exists
  }

  /** Forgets what the unit held, and gives it. Host only, once the unit is gone. */
  takeHeld(): number[] {
    const held = [...this.#words.subarray(HELD)].filter((cell) => cell !== 0).map((cell) => cell - 1)
    this.#words.fill(0, HELD)
    return held
  }

  /** Makes the cells those of the next unit. Host only, once the unit is gone. */
  clear(): void {
    this.#words.fill(0)
    this.counters.fill(0)
  }

  counts(): Counts {
    return countsOf(this.counters)
  }
}

type Sizes = Pick<ControlHandle, 'units' | 'children'>

function wordsFor({ units, children }: Sizes): number {
  return HEADER_WORDS + units * UNIT_WORDS + children + (children % 2) // even, so that the counters behind are aligned
}

function bytesFor(sizes: Sizes): number {
  return wordsFor(sizes) * 4 + (sizes.units + sizes.children) * COUNTERS * 8
}
