/** The place of a thread that serves one connection at a time: what it has in hand, for the roster and the statistics. */

import type { Rival, RoleContext, Shift, Taker, WorkloadRow } from '@cs/core'
import { eventfdDrain } from '@cs/core/posix'
import {
  ABSENT,
  BEGUN,
  connectionsIn,
  exchange,
  FREE,
  HANDS,
  POPULATION,
  type Roster,
  SPARE,
  TAKEN,
  THREAD,
  tell,
  threadsIn,
} from './roster.js'

type Stop = RoleContext<unknown, unknown>['stop']

/** A thread's side; to a client that it stays with, the rival is whoever waits in the backlog. */
export class Seat implements Shift, Rival {
  readonly fd: number
  readonly stopFd: number
  readonly #roster: Roster
  readonly #hand: number
  readonly #taker: Taker
  readonly #workload: WorkloadRow
  readonly #stop: Stop

  constructor(roster: Roster, index: number, taker: Taker, workload: WorkloadRow, stop: Stop) {
    this.fd = roster.wanted
    this.stopFd = stop.fd
    this.#roster = roster
    this.#hand = HANDS + index
    this.#taker = taker
    this.#workload = workload
    this.#stop = stop
    Atomics.store(roster.cells, this.#hand, FREE)
    Atomics.add(roster.cells, BEGUN, 1)
  }

  get stopping(): boolean {
    return this.#stop.requested
  }

  /** The thread has taken a connection. */
  begins(fd: number, time: number): void {
    Atomics.store(this.#roster.cells, this.#hand, TAKEN) // tells the host, should the thread die
    this.#workload.begins(fd, time)
  }

  ends(time: number): void {
    this.#workload.ends(time)
  }

  /**
   * The connection has ended. Tells whether the thread is to end too, none being kept: not one that is needed for what is in
   * hand, and none while the server drains.
   */
  leave(): boolean {
    const { cells } = this.#roster
    Atomics.store(cells, this.#hand, FREE)
    for (;;) {
      const population = Atomics.load(cells, POPULATION)
      const ends = !this.stopping && cells[SPARE] === 0 && threadsIn(population) >= connectionsIn(population)
      if (!exchange(cells, population, population - 1 - (ends ? THREAD : 0))) continue
      tell(this.#roster)
      return ends
    }
  }

  /** It waits for its client: another thread may run. */
  rests(): void {
    this.#taker.rests()
  }

  resumes(): void {
    this.#taker.resumes()
  }

  /** The thread ends: nobody need settle anything for it. */
  vacate(): void {
    Atomics.store(this.#roster.cells, this.#hand, ABSENT)
    Atomics.sub(this.#roster.cells, BEGUN, 1)
    this.#taker.leave()
    this.#workload.leave()
  }

  /** Whether this thread is the one that gives its idle client up: one for each call of {@link Acceptor.crowd}. */
  takes(): boolean {
    return eventfdDrain(this.#roster.wanted) > 0
  }
}
