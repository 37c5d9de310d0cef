/** Where a worker looks for something to do, and how it sleeps when there is nothing. Owner thread only. */

import type { Service, Shift, Source, WorkloadRow } from '@cs/core'
import type { DequeWorker, IdleWorker, TakeResult } from '@cs/core/sync'
import { BATCH, COUNTS, type Crew, EXECUTED, PARKED } from './crew.js'
import type { Tasks } from './tasks.js'
import type { Thief } from './thief.js'

/**
 * Each so manieth look begins at the injection queue: a task that spawns its successor would else keep clients waiting for ever.
 * Prime, as in Go's scheduler, so that it is in step with nothing.
 */
const INJECTION_FIRST = 61

/** A worker as a source of descriptors, and of tasks, which are the complements of their rows and so below 0. */
export class Worker implements Source, Shift {
  readonly #crew: Crew
  readonly #tasks: Tasks
  readonly #thief: Thief
  readonly #ownTasks: DequeWorker
  readonly #ownConnections: DequeWorker
  readonly #idle: IdleWorker
  readonly #counts: Float64Array
  readonly #workload: WorkloadRow
  readonly #batch = new Int32Array(BATCH)
  #looks = 0
  /** True once a task was settled: whoever waits for it, though no handler does, goes on when the thread next breathes. */
  #settled = false

  constructor(crew: Crew, index: number, service: Service, thief: Thief, tasks: Tasks) {
    this.#crew = crew
    this.#tasks = tasks
    this.#thief = thief
    this.#ownTasks = crew.tasks[index].worker()
    this.#ownConnections = crew.connections[index].worker()
    this.#idle = crew.idle.worker(index)
    this.#counts = new Float64Array(crew.counts, index * COUNTS * 8, COUNTS)
    this.#workload = crew.workload.row(index, service.table)
  }

  /** What it has, or comes from outside. */
  tryTake(): number | 'empty' | 'dismissed' {
    this.#collect()
    let item: number | 'empty' = ++this.#looks % INJECTION_FIRST === 0 ? this.#injected() : 'empty'
    if (item === 'empty') item = this.#own()
    if (item === 'empty' && !this.#tasks.holdsBack && this.#isDismissed()) return 'dismissed'
    return item === 'empty' ? this.#injected() : item
  }

  /** The same, or what others have; sleeps while there is nothing, up to so many milliseconds. */
  take(timeoutMs: number = Number.POSITIVE_INFINITY): TakeResult {
    const idle = this.#idle
    const deadline = performance.now() + timeoutMs
    for (;;) {
      idle.search()
      this.#collect()
      const item = this.#settled ? 'timed out' : this.#anything()
      if (item !== 'empty') {
        idle.found(this.#seesWork)
        if (item === 'timed out') this.#settled = false // the thread breathes now
        return item
      }
      idle.lieDown()
      if (!this.#seesWork()) {
        if (this.#crew.injection.closed && !this.#tasks.holdsBack) {
          idle.leave()
          return 'closed'
        }
        this.#counts[PARKED]++
        idle.wait(Math.max(0, deadline - performance.now()))
      }
      if (!idle.getUp() && performance.now() >= deadline) return 'timed out'
    }
  }

  begins(item: number, time: number): void {
    this.#counts[EXECUTED]++
    if (item < 0) this.#workload.works(time)
    else this.#workload.begins(item, time)
  }

  ends(time: number): void {
    this.#workload.ends(time)
  }

  leave(): void {
    this.#workload.leave()
  }

  #collect(): void {
    if (this.#tasks.collect() > 0) this.#settled = true
  }

  #anything(): number | 'empty' | 'dismissed' {
    const item = this.tryTake()
    return item === 'empty' ? this.#stolen() : item
  }

  /** Tasks first, since a request in progress waits for each. */
  #own(): number | 'empty' {
    const row = this.#ownTasks.pop()
    return row === 'empty' ? this.#ownConnections.pop() : ~row
  }

  /** Takes its share of what came from outside, to where others can steal it. */
  #injected(): number | 'empty' {
    const { injection, idle } = this.#crew
    const waiting = injection.size
    if (waiting === 0) return 'empty'
    const share = Math.min(1 + Math.floor(waiting / idle.known), BATCH - this.#ownConnections.size)
    const count = injection.tryTakeMany(this.#batch, share)
    if (count === 0) return 'empty'
    // Backwards: then the owner, who pops the newest, serves in the order in which they came.
    for (let i = count - 1; i > 0; i--) this.#ownConnections.push(this.#batch[i])
    if (count > 1 || waiting > count) idle.notify()
    return this.#batch[0]
  }

  #stolen(): number | 'empty' {
    const row = this.#thief.steal(this.#crew.tasks)
    return row === 'empty' ? this.#thief.steal(this.#crew.connections) : ~row
  }

  #isDismissed(): boolean {
    const { dismissals } = this.#crew
    for (let left = Atomics.load(dismissals, 0); left > 0; ) {
      const found = Atomics.compareExchange(dismissals, 0, left, left - 1)
      if (found === left) return true
      left = found
    }
    return false
  }

  /** Whether there is anything that this worker, or another, should be awake for. */
  readonly #seesWork = (): boolean => {
    const { injection, dismissals, connections, tasks } = this.#crew
    if (injection.size > 0 || Atomics.load(dismissals, 0) > 0 || this.#tasks.hasEnded) return true
    return this.#thief.sees(tasks) || this.#thief.sees(connections)
  }
}
