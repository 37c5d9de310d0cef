/** Which form of the reactor the options ask for, and what its threads share. */

import { availableParallelism } from 'node:os'
import { BoundedQueue, Crossing, close, OptionError, openLot, type Parts, Workload } from '@cs/core'
import type { ReactorOptions } from '../reactor.js'
import { Handover } from './handover.js'
import type { Pool } from './pool.js'
import type { Watched } from './workers.js'

export interface Shared extends Partial<Watched>, Partial<Pool> {
  /** Where there are loops: the connections that were dealt to them. */
  readonly handover?: Handover
}

/** Makes what the threads share. @throws OptionError for options that exclude each other */
export function openShared({ demultiplexer, loops, workers, waiting }: ReactorOptions): Shared {
  const handover = loops > 0 ? { handover: Handover.create(loops, waiting) } : {}
  if (workers === 0) return handover
  const workload = Workload.create(workers)
  if (loops > 0) {
    const processors = availableParallelism()
    const ended = new Int32Array(new SharedArrayBuffer(4 * loops))
    const crossing = Crossing.create({ callers: loops, answerers: workers, processors, waiting, wakeups: true })
    return { ...handover, crossing, workload, ended }
  }
  if (demultiplexer === 'epoll') return { queue: BoundedQueue.create(waiting), lot: openLot(), workload }
  throw new OptionError(`reactor with \`workers\` alone needs epoll, which threads can share, not ${demultiplexer}`)
}

/** Gives the descriptors of it back. */
export function closeShared({ handover, crossing, lot }: Shared): void {
  handover?.dispose()
  crossing?.dispose()
  if (lot !== undefined) close(lot)
}

/** What the forms with workers say of themselves. */
export function partsOf({ queue, crossing, workload }: Shared): Parts {
  if (workload === undefined) return {}
  const { waitingMs, threads: count, busy, occupancy } = workload.statistics()
  const workers = { count, busy, occupancy }
  if (crossing !== undefined) return { queue: { ...crossing.queue, waitingMs }, workers }
  const { size: depth, capacity } = queue!
  return { queue: { depth, capacity, highWater: queue!.statistics().highWater, waitingMs }, workers }
}
