/** Adds threads to a stage while it is the bottleneck, and takes them away when it no longer is. */

import type { Crossing, Workload } from '@cs/core'
import type { PipelineShared } from './shared.js'

/** Milliseconds between two looks. */
const LOOK_MS = 100

/** Looks in a row after which a stage is taken for too small, or for too large. */
const BUSY_LOOKS = 2
const IDLE_LOOKS = 20

/** The share of its threads that a stage may leave idle. */
const ENOUGH = 0.5

/** Looks after the stage `handle`; on one thread of the server. */
export class Scaler {
  readonly #crossing: Crossing
  readonly #workload: Workload
  readonly #least: number
  readonly #most: number
  readonly #more: (threads: number) => void
  #asked: number
  #busyLooks = 0
  #idleLooks = 0
  #lookAt = 0

  /** `more` starts so many threads, sooner or later. */
  constructor({ crossing, workloads }: PipelineShared, least: number, most: number, more: (threads: number) => void) {
    this.#crossing = crossing
    this.#workload = workloads.handle
    this.#least = least
    this.#most = Math.max(most, least)
    this.#more = more
    this.#asked = least
  }

  /** Milliseconds after which {@link look} should be called; -1 where the stage cannot change, or need not. */
  get timeout(): number {
    if (this.#least === this.#most) return -1
    return this.#asked > this.#least || this.#crossing.queue.depth > 0 ? LOOK_MS : -1
  }

  /** Looks whether requests wait though all threads are busy, or few threads are busy. Cheap to call: it looks when it is time. */
  look(now: number): void {
    if (this.#least === this.#most || now < this.#lookAt) return
    this.#lookAt = now + LOOK_MS
    const { threads, busy } = this.#workload.statistics()
    const waits = this.#crossing.queue.depth > 0 && busy >= threads
    this.#busyLooks = waits ? this.#busyLooks + 1 : 0
    this.#idleLooks = !waits && busy < threads * ENOUGH ? this.#idleLooks + 1 : 0
    if (this.#busyLooks >= BUSY_LOOKS && this.#asked < this.#most && threads >= this.#asked) this.#grow()
    else if (this.#idleLooks >= IDLE_LOOKS && this.#asked > this.#least) this.#shrink()
  }

  #grow(): void {
    this.#busyLooks = 0
    this.#asked++
    this.#more(1)
  }

  #shrink(): void {
    this.#idleLooks = IDLE_LOOKS / 2 // the next goes sooner
    this.#asked--
    this.#crossing.dismiss()
  }
}
