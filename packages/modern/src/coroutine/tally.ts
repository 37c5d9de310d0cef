/**
 * How many coroutines are in each state, in memory that the host reads: one writer, the thread that runs them. A reader between
 * the two stores of a move sees one too few.
 */

import { registerShareable, type Shared } from '@cs/core/sync'

/** Spawned, and not yet run. */
export const INIT = 0
/** Waits for its client's next request, or the rest of it. */
export const READING = 1
/** The handler is at work, or what it awaits. */
export const PROCESSING = 2
/** The client has not taken all of the response. */
export const WRITING = 3
/** It has ended; the only state that is counted for all time. */
export const DONE = 4
const STATES = 5

/** A state of a coroutine that serves a connection. */
export type State = number

/** How many are in each state, and how many have ended. */
export interface TallyStatistics {
  readonly init: number
  readonly reading: number
  readonly processing: number
  readonly writing: number
  readonly done: number
}

/** One thread writes, any reads. */
export class Tally {
  readonly #cells: Float64Array

  private constructor(cells: Float64Array) {
    this.#cells = cells
  }

  static create(): Tally {
    return new Tally(new Float64Array(new SharedArrayBuffer(STATES * 8)))
  }

  static from({ buffer }: Shared): Tally {
    return new Tally(new Float64Array(buffer))
  }

  share(): Shared {
    return { kind: 'coroutine-tally', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Counts one that is spawned. */
  begin(): void {
    this.#cells[INIT]++
  }

  /** Moves one from a state to another, which it returns. */
  move(from: State, to: State): State {
    this.#cells[from]--
    this.#cells[to]++
    return to
  }

  /** Notes that all of them are gone, with their thread or before its end. */
  clear(): void {
    const cells = this.#cells
    for (let state = INIT; state < DONE; state++) {
      cells[DONE] += cells[state]
      cells[state] = 0
    }
  }

  statistics(): TallyStatistics {
    const [init, reading, processing, writing, done] = this.#cells
    return { init, reading, processing, writing, done }
  }
}

registerShareable('coroutine-tally', Tally)
