/**
 * What the host and the units of a server tell each other without messages, since a blocked thread reads none: one word of
 * state for all, and for each unit its state and its counters. On a SharedArrayBuffer between threads, on a memfd between
 * processes.
 */

import { COUNTERS, type Counts, countsOf } from '../connection/index.js'
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

const HEADER_WORDS = 4
const PHASE = 0 // word of the header
const UNIT_WORDS = 8
const STATE = 0 // words of a unit
const PID = 1
const TID = 2
const RESTARTS = 3
const HELD = 4 // the first of those that hold descriptors, each plus one; 0 is none

/** How the block reaches another thread, or by its descriptor another process. */
export interface ControlHandle {
  readonly units: number
  readonly buffer?: SharedArrayBuffer
  readonly fd?: number
}

export class Control {
  readonly units: number
  readonly #words: Int32Array
  readonly #counters: Float64Array
  readonly #handle: ControlHandle

  private constructor(handle: ControlHandle, buffer: ArrayBufferLike) {
    this.units = handle.units
    this.#handle = handle
    const words = wordsFor(handle.units)
    this.#words = new Int32Array(buffer, 0, words)
    this.#counters = new Float64Array(buffer, words * 4, handle.units * COUNTERS)
  }

  /** Makes the block of a server with so many units; `processes` tells whether some are processes of their own. */
  static create(units: number, processes: boolean): Control {
    if (processes) return Control.open({ units, fd: memfd_create('cs-control', bytesFor(units)) })
    return Control.open({ units, buffer: new SharedArrayBuffer(bytesFor(units)) })
  }

  static open(handle: ControlHandle): Control {
    return new Control(handle, handle.buffer ?? mmapShared(handle.fd!, bytesFor(handle.units)).buffer)
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

/** The cells of one unit, which outlive its crashes: counters go on where the one before stopped. */
export class UnitCells {
  readonly counters: Float64Array
  readonly #words: Int32Array

  constructor(words: Int32Array, counters: Float64Array) {
    this.#words = words
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

  get restarts(): number {
    return this.#words[RESTARTS]
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

  countRestart(): void {
    this.#words[RESTARTS]++
  }

  counts(): Counts {
    return countsOf(this.counters)
  }
}

function wordsFor(units: number): number {
  return HEADER_WORDS + units * UNIT_WORDS // even, so that the counters behind are aligned
}

function bytesFor(units: number): number {
  return wordsFor(units) * 4 + units * COUNTERS * 8
}
