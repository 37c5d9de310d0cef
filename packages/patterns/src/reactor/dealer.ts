import { close, type Service } from '@cs/core'
import { ACCEPTED } from '@cs/core/connection'
import type { Deal, Handover } from './handover.js'

/** Deals the connections that one reactor accepts to the loops of others. Acceptor's thread only. */
export class Dealer {
  readonly #handover: Handover
  readonly #deal: Deal
  readonly #service: Service
  /** The loops that were given something since they were last signalled. */
  readonly #given = new Set<number>()
  #next = 0

  constructor(handover: Handover, deal: Deal, service: Service) {
    this.#handover = handover
    this.#deal = deal
    this.#service = service
  }

  /** Gives a connection to a loop; blocks while all have as many waiting as they may. */
  give(fd: number): void {
    const { table, owner, now, timeouts, counters } = this.#service
    if (!table.enter(fd, owner)) return void close(fd)
    counters[ACCEPTED]++
    table.pass(fd, { since: now, limit: timeouts.head, flags: 0, address: 0, size: 0, unparsed: 0, unsent: 0 })
    const { loops } = this.#handover
    const first = this.#choose()
    this.#next = (first + 1) % loops
    for (let i = 0; i < loops; i++) if (this.#put((first + i) % loops, fd)) return
    this.signal()
    if (this.#handover.put(first, fd)) this.#given.add(first)
  }

  /** Wakes the loops that were given something. */
  signal(): void {
    for (const loop of this.#given) this.#handover.signal(loop)
    this.#given.clear()
  }

  #put(loop: number, fd: number): boolean {
    if (this.#handover.tryPut(loop, fd) !== 'put') return false
    this.#given.add(loop)
    return true
  }

  /** The next, or from the next on the one that has the fewest connections. */
  #choose(): number {
    if (this.#deal === 'round-robin') return this.#next
    let best = this.#next
    for (let i = 1; i < this.#handover.loops; i++) {
      const loop = (this.#next + i) % this.#handover.loops
      if (this.#handover.loadOf(loop) < this.#handover.loadOf(best)) best = loop
    }
    return best
  }
}
