/**
 * What a task costs that waits without a thread of its own: to make it, to switch to it, to keep it. Coroutines and fibers beside
 * async functions, which the language has.
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Scheduler, type Steps } from '@cs/core/coroutine'
import { call, spawnOn } from '@cs/modern/fiber'

/** What was measured of one kind of task; medians over the rounds. */
export interface TaskFigures {
  readonly kind: string
  /** Tasks that were alive at once. */
  readonly count: number
  /** To make one and to run it up to where it waits, in µs. */
  readonly creation: number
  /** To leave one and go on in another, in µs. */
  readonly switching: number
  /** The same where each waits at the bottom of {@link TaskSettings.depth} calls. */
  readonly deepSwitching: number
  /** Of memory, for one that waits. */
  readonly bytes: number
}

export interface TaskSettings {
  /** Tasks alive at once. Default: 100,000. */
  readonly count?: number
  /** Switches that are timed together. Default: 500,000; a tenth of it at `depth`, where each may cost that many steps. */
  readonly switches?: number
  /** Calls. Default: 1,000. */
  readonly depth?: number
  /** Default: 5. */
  readonly rounds?: number
}

/** A kind of task. */
interface Kind {
  readonly name: string
  /** Makes so many that wait for ever, lets them come to that, and returns what keeps them. */
  hold(count: number): unknown
  /** Times so many switches between two of them, in ms. */
  alternate(switches: number, depth: number): number | Promise<number>
}

const NEVER = { suspend: () => {}, abandon: () => {} }

const coroutine: Kind = {
  name: 'coroutine',
  hold(count) {
    const scheduler = new Scheduler()
    for (let i = 0; i < count; i++) scheduler.spawn(waits())
    scheduler.run()
    return scheduler
  },
  alternate: (switches, depth) => alternate((scheduler, steps) => scheduler.spawn(steps), nestedIn, switches, depth),
}

const fiber: Kind = {
  name: 'fiber',
  hold(count) {
    const scheduler = new Scheduler()
    for (let i = 0; i < count; i++) spawnOn(scheduler, waits())
    scheduler.run()
    return scheduler
  },
  alternate: (switches, depth) => alternate(spawnOn, calledIn, switches, depth),
}

const asyncFunction: Kind = {
  name: 'async function',
  hold(count) {
    const never = new Promise<void>(() => {})
    const wait = async (): Promise<void> => await never
    return [never, Array.from({ length: count }, wait)] // the promise keeps those that wait for it
  },
  async alternate(switches, depth) {
    const start = performance.now()
    await Promise.all([0, 1].map(() => awaits(depth, switches / 2)))
    return performance.now() - start
  },
}

/** Measures all kinds, interleaved over the rounds. In a process that does nothing else meanwhile. */
export async function measureTasks(settings: TaskSettings = {}): Promise<readonly TaskFigures[]> {
  const { count = 100_000, switches = 500_000, depth = 1000, rounds = 5 } = settings
  const kinds = [asyncFunction, coroutine, fiber]
  const samples = kinds.map(() => ({ creation: [], switching: [], deep: [], bytes: [] }) as Record<string, number[]>)
  for (const kind of kinds) await kind.alternate(switches, 0) // until it is compiled
  for (let round = 0; round < rounds; round++) {
    for (const [i, kind] of kinds.entries()) {
      const { creation, bytes } = holdingOf(kind, count)
      samples[i].creation.push(creation)
      samples[i].bytes.push(bytes)
      samples[i].switching.push(((await kind.alternate(switches, 0)) * 1000) / switches)
      const fewer = Math.ceil(switches / 10)
      samples[i].deep.push(((await kind.alternate(fewer, depth)) * 1000) / fewer)
    }
  }
  return kinds.map(({ name }, i) => ({
    kind: name,
    count,
    creation: median(samples[i].creation),
    switching: median(samples[i].switching),
    deepSwitching: median(samples[i].deep),
    bytes: median(samples[i].bytes),
  }))
}

/** The figures as lines of cells, the headings first. */
export function tableOfTasks(figures: readonly TaskFigures[], depth = 1000): readonly (readonly string[])[] {
  const headings = ['task', 'alive at once', 'creation µs', 'switch µs', `at ${depth} calls`, 'bytes each']
  const lines = figures.map(({ kind, count, creation, switching, deepSwitching, bytes }) => [
    kind,
    String(count),
    creation.toFixed(2),
    switching.toFixed(3),
    deepSwitching.toFixed(3),
    bytes.toFixed(0),
  ])
  return [headings, ...lines]
}

function holdingOf(kind: Kind, count: number): { readonly creation: number; readonly bytes: number } {
  collect()
  const before = process.memoryUsage().heapUsed
  const start = performance.now()
  const held = kind.hold(count)
  const creation = ((performance.now() - start) * 1000) / count
  collect()
  const bytes = (process.memoryUsage().heapUsed - before) / count
  keep(held)
  return { creation, bytes }
}

function alternate(
  spawn: (scheduler: Scheduler, steps: Steps<void>) => unknown,
  nest: (depth: number, steps: Steps<void>) => Steps<void>,
  switches: number,
  depth: number,
): number {
  const scheduler = new Scheduler()
  for (let i = 0; i < 2; i++) spawn(scheduler, nest(depth, yields(switches / 2)))
  scheduler.run() // down to the bottom of the calls
  const start = performance.now()
  let resumed = 0
  while (resumed < switches - 2) resumed += scheduler.run()
  return performance.now() - start
}

function* waits(): Steps<void> {
  yield NEVER
}

function* yields(times: number): Steps<void> {
  for (let i = 0; i < times; i++) yield
}

function* nestedIn(depth: number, steps: Steps<void>): Steps<void> {
  if (depth > 0) yield* nestedIn(depth - 1, steps)
  else yield* steps
}

function* calledIn(depth: number, steps: Steps<void>): Steps<void> {
  if (depth > 0) yield* call(calledIn(depth - 1, steps))
  else yield* call(steps)
}

async function awaits(depth: number, times: number): Promise<void> {
  if (depth > 0) return await awaits(depth - 1, times)
  for (let i = 0; i < times; i++) await undefined
}

let kept: unknown

/** Keeps what it is given from being collected until it is called again. */
function keep(held: unknown): void {
  kept = held
  if (kept === undefined) throw new Error('nothing was kept')
  kept = undefined
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1]
}
