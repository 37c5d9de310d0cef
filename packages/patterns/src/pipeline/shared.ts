/** What all stages share: a lane in front of each thread, the lines of the connections, and who is still at work. */

import { BoundedQueue, Crossing, type Parts, Workload } from '@cs/core'
import { Wakeup } from '@cs/core/demux'
import { Lane, type LaneReport } from './lane.js'
import { Lines } from './lines.js'

/** Threads of each stage. */
export interface StageSizes {
  readonly read: number
  readonly parse: number
  readonly handle: number
  readonly write: number
}

export interface SharedSizes extends StageSizes {
  /** Threads that `handle` may grow to, if more than it has. */
  readonly most: number
  /** Requests that may wait for it. */
  readonly waiting: number
  /** Bytes that may wait in a lane. */
  readonly laneBytes: number
}

export interface PipelineShared {
  readonly lines: Lines
  /** A lane for each thread of the stage. In front of `handle` stands the queue of the crossing. */
  readonly read: readonly Lane[]
  readonly parse: readonly Lane[]
  readonly write: readonly Lane[]
  readonly crossing: Crossing
  /** For each parser the connections whose clients have made room, or are gone. */
  readonly drained: readonly BoundedQueue[]
  readonly workloads: Readonly<Record<keyof StageSizes, Workload>>
  /** How many threads may still bring connections, and how many may still have something to write. */
  readonly atWork: Int32Array
  /** Connections that a thread of `read` was told are readable and has not read; each cell has one writer. */
  readonly readable: Int32Array
}

/** The cells of {@link PipelineShared.atWork}. */
export const READERS = 0
export const PARSERS = 1

/** Each connection is there once at most. */
const MOST_CONNECTIONS = 1 << 20

/** Makes it all, for a machine with so many processors. */
export function createShared(sizes: SharedSizes, processors: number): PipelineShared {
  const { waiting, laneBytes } = sizes
  const most = Math.max(sizes.handle, sizes.most)
  const wakeups: Wakeup[] = []
  const woken = (): Wakeup => {
    wakeups.push(Wakeup.open())
    return wakeups.at(-1)!
  }
  const many = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)
  try {
    return {
      lines: Lines.create(),
      read: many(sizes.read, () => Lane.create(laneBytes, woken())),
      parse: many(sizes.parse, () => Lane.create(laneBytes)),
      write: many(sizes.write, () => Lane.create(laneBytes, woken())),
      crossing: Crossing.create({ callers: sizes.parse, answerers: most, processors, waiting }),
      drained: many(sizes.parse, () => BoundedQueue.create(MOST_CONNECTIONS)),
      workloads: {
        read: Workload.create(sizes.read),
        parse: Workload.create(sizes.parse),
        handle: Workload.create(most),
        write: Workload.create(sizes.write),
      },
      atWork: sharedCells(sizes.read, sizes.parse),
      readable: sharedCells(...many(sizes.read, () => 0)),
    }
  } catch (error) {
    for (const wakeup of wakeups) wakeup.close()
    throw error
  }
}

function sharedCells(...values: readonly number[]): Int32Array {
  const cells = new Int32Array(new SharedArrayBuffer(4 * values.length))
  cells.set(values)
  return cells
}

/** Gives the descriptors back, once no thread uses them. */
export function disposeShared({ read, write }: PipelineShared): void {
  for (const { wakeup } of [...read, ...write]) wakeup?.close()
}

/** True while threads of a kind may still give work to the stage behind them. Any thread. */
export function isAtWork({ atWork }: PipelineShared, kind: typeof READERS | typeof PARSERS): boolean {
  return Atomics.load(atWork, kind) > 0 // and what those that left had put into lanes is seen there
}

/** Says that a thread will give nothing more, and wakes every thread that may be able to end. */
export function leave({ atWork, parse, write, crossing }: PipelineShared, kind: typeof READERS | typeof PARSERS): void {
  Atomics.sub(atWork, kind, 1)
  for (const lane of write) lane.bell.ring()
  for (const index of parse.keys()) crossing.callerBell(index).ring()
}

/** What each stage says of itself: its threads, how busy they are, what waits in front of it and for how long. */
export function reportOf(shared: PipelineShared): Parts {
  const { parse, write, crossing, workloads, readable } = shared
  const lanes = (each: readonly Lane[]): LaneReport => ({
    depth: each.reduce((sum, { report }) => sum + report.depth, 0),
    highWater: Math.max(...each.map(({ report }) => report.highWater)),
  })
  const stage = (name: keyof StageSizes, queue: Readonly<Record<string, number>>): Parts => {
    const { threads, busy, occupancy, waitingMs } = workloads[name].statistics()
    return { threads, busy, occupancy: { ...occupancy }, ...queue, waitingMs: { ...waitingMs } }
  }
  return {
    read: stage('read', { depth: readable.reduce((sum, each) => sum + each, 0) }),
    parse: stage('parse', { ...lanes(parse) }),
    handle: stage('handle', { ...crossing.queue }),
    write: stage('write', { ...lanes(write) }),
  }
}
