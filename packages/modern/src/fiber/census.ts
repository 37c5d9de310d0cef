import type { Scheduler } from '@cs/core/coroutine'
import { registerShareable, type Shared } from '@cs/core/sync'

const ALIVE = 0
const READY = 1
const BLOCKED = 2
const PEAK = 3
const SPAWNED = 4
const SWITCHES = 5
const CELLS = 6

/** The fibers of a server, as of the last turn of its loop. */
export interface CensusStatistics {
  readonly alive: number
  /** Waiting for their turn. */
  readonly ready: number
  /** Waiting for a client, for time, for another fiber. */
  readonly blocked: number
  /** The most that have been alive at once. */
  readonly peak: number
  readonly spawned: number
  /** Times that one has been resumed. */
  readonly switches: number
}

/** How many fibers there are, in memory that the host reads. One thread writes, any reads. */
export class Census {
  readonly #cells: Float64Array

  private constructor(cells: Float64Array) {
    this.#cells = cells
  }

  static create(): Census {
    return new Census(new Float64Array(new SharedArrayBuffer(CELLS * 8)))
  }

  static from({ buffer }: Shared): Census {
    return new Census(new Float64Array(buffer))
  }

  share(): Shared {
    return { kind: 'fiber-census', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Counts the fibers of a scheduler. */
  take(scheduler: Scheduler): void {
    const cells = this.#cells
    const { alive, ready, suspended, spawned, resumed } = scheduler.statistics()
    cells[ALIVE] = alive
    cells[READY] = ready
    cells[BLOCKED] = suspended
    cells[PEAK] = Math.max(cells[PEAK], alive)
    cells[SPAWNED] = spawned
    cells[SWITCHES] = resumed
  }

  statistics(): CensusStatistics {
    const [alive, ready, blocked, peak, spawned, switches] = this.#cells
    return { alive, ready, blocked, peak, spawned, switches }
  }
}

registerShareable('fiber-census', Census)
