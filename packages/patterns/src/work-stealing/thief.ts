/** A worker as a thief: it takes the oldest of what others have not begun, from victims in random order. Owner thread only. */

import type { DequeStealer, WorkStealingDeque } from '@cs/core/sync'
import { COUNTS, type Crew, STEALS, STOLEN } from './crew.js'

export class Thief {
  readonly #crew: Crew
  readonly #index: number
  readonly #counts: Float64Array
  readonly #stolen: BigInt64Array
  /** The sides of thieves, by deque. */
  readonly #stealers = new Map<WorkStealingDeque, DequeStealer>()
  #random: number

  constructor(crew: Crew, index: number) {
    this.#crew = crew
    this.#index = index
    this.#counts = new Float64Array(crew.counts, index * COUNTS * 8, COUNTS)
    this.#stolen = new BigInt64Array(crew.counts)
    this.#random = (Math.random() * 2 ** 32) | 1
  }

  /** Steals from one of these deques, one a worker. Random victims, so that thieves do not all come to the same one. */
  steal(deques: readonly WorkStealingDeque[]): number | 'empty' {
    const workers = this.#crew.idle.known
    const first = this.#draw(workers)
    for (let i = 0; i < workers; i++) {
      const victim = (first + i) % workers
      if (victim === this.#index) continue
      const value = this.#rob(deques[victim])
      if (value === 'empty') continue
      this.#counts[STEALS]++
      Atomics.add(this.#stolen, victim * COUNTS + STOLEN, 1n)
      return value
    }
    return 'empty'
  }

  /** Whether there is something in one of these deques, its own too. */
  sees(deques: readonly WorkStealingDeque[]): boolean {
    const workers = this.#crew.idle.known
    for (let index = 0; index < workers; index++) if (deques[index].size > 0) return true
    return false
  }

  #rob(deque: WorkStealingDeque): number | 'empty' {
    let stealer = this.#stealers.get(deque)
    if (stealer === undefined) this.#stealers.set(deque, (stealer = deque.stealer()))
    let value = stealer.steal()
    while (value === 'retry') value = stealer.steal() // somebody else got one meanwhile, so this ends
    return value
  }

  /** xorshift32 */
  #draw(below: number): number {
    let x = this.#random
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#random = x
    return (x >>> 0) % below
  }
}
