/**
 * What idle connections cost: the load of some active ones, beside more and more that are open and silent.
 *
 *   round ── server: start ── idle count: open more ── warm up ── CPU time ── load ── CPU time ── … ── stop
 *                └─ start with the garbage kept small ── load ── memory ── open the most ── load ── memory ── stop ── next server
 *
 * The counts grow on one server, so that within a round only they differ from one figure to the next. Memory is measured on a
 * server of its own: V8 leaves garbage lying as long as it sees no need to collect, many times what the connections hold. That
 * server collects everything each time a megabyte is full, and both readings come after the same load.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Loader } from '../load.js'
import { type LoadMeasurement, measureLoad } from '../measure.js'
import { memoryBytes } from '../process-memory.js'
import { type Failure, interleave } from '../rounds.js'
import { type RunningServer, type ServerSpec, startServer } from '../servers.js'
import { IdleConnections } from './connections.js'

/**
 * V8: every collection is a full one, there is one for each MiB of new objects, and nothing is done on other threads, whose
 * buffers come and go; so little garbage is left at any time, and always about as much.
 */
const COLLECTING = ['--gc-global', '--max-semi-space-size=1', '--single-threaded']
/** The load before each reading of the memory: what is compiled and cached for it is there in both. */
const MEMORY_LOAD_SECONDS = 2
/** A reading stands when the next one, so much later, is the same but for so many bytes. */
const SETTLE_MS = 250
const SETTLED_BYTES = 64 * 1024
const SETTLE_TRIES = 20

/** The load on one server beside some idle connections, in one round. */
export interface IdleMeasurement extends LoadMeasurement {
  readonly server: string
  readonly round: number
  readonly idle: number
  /** All user-space memory of the server after the load, with V8's defaults: with its garbage. */
  readonly memoryBytes: number
}

/** The memory of one server without and with idle connections, in one round. */
export interface MemoryMeasurement {
  readonly server: string
  readonly round: number
  readonly idle: number
  readonly bytesWithout: number
  readonly bytesWith: number
}

/** A count that a server is not measured at. */
export interface Gap {
  readonly server: string
  readonly idle: number
  readonly reason: string
}

export interface IdleOptions {
  readonly servers: readonly ServerSpec[]
  /** Counts of idle connections, ascending. */
  readonly idle: readonly number[]
  /** Of the load. */
  readonly connections: number
  readonly loader: Loader
  readonly rounds: number
  readonly seconds: number
  readonly signal: AbortSignal
  readonly progress: (what: string) => void
}

/** All that was measured. */
export interface IdleResults {
  readonly measurements: readonly IdleMeasurement[]
  readonly memory: readonly MemoryMeasurement[]
  readonly gaps: readonly Gap[]
  readonly failures: readonly Failure[]
}

/** Measures all servers; one that fails is reported, and the others go on. @throws when the signal is aborted */
export async function measureIdle(options: IdleOptions): Promise<IdleResults> {
  const measurements: IdleMeasurement[] = []
  const memory: MemoryMeasurement[] = []
  const failures = await interleave(options, async (spec, round) => {
    const counts = options.idle.filter((idle) => isWithin(spec, idle, options.connections))
    await measureLoads(spec, round, counts, options, measurements)
    const most = counts.at(-1) ?? 0
    if (most > 0) memory.push(await measureMemory(spec, round, most, options))
  })
  return { measurements, memory, gaps: gapsOf(options), failures }
}

/** The counts that servers are not measured at, since they cannot hold so many connections. */
export function gapsOf({ servers, idle, connections }: Pick<IdleOptions, 'servers' | 'idle' | 'connections'>): Gap[] {
  return servers.flatMap((spec) => {
    const missing = idle.filter((count) => !isWithin(spec, count, connections))
    return missing.map((count) => ({ server: spec.name, idle: count, reason: spec.bound?.reason ?? '' }))
  })
}

function isWithin({ bound }: ServerSpec, idle: number, connections: number): boolean {
  return bound === undefined || idle + connections <= bound.connections
}

async function measureLoads(
  spec: ServerSpec,
  round: number,
  counts: readonly number[],
  options: IdleOptions,
  measurements: IdleMeasurement[],
): Promise<void> {
  const { connections, progress, rounds, signal } = options
  await withIdle(spec, signal, async (server, connected) => {
    for (const idle of counts) {
      progress(`round ${round} of ${rounds}: ${spec.name}, ${connections} active and ${idle} idle connections`)
      await connected.grow(idle, signal)
      const load = await measureLoad(server, { connections, close: false }, options)
      connected.assertOpen()
      measurements.push({ server: spec.name, round, idle, ...load, memoryBytes: memoryBytes(server.pid) })
    }
  })
}

async function measureMemory(
  spec: ServerSpec,
  round: number,
  idle: number,
  { connections, loader, progress, rounds, signal }: IdleOptions,
): Promise<MemoryMeasurement> {
  progress(`round ${round} of ${rounds}: ${spec.name}, memory of ${idle} idle connections`)
  const collecting = { ...spec, command: [...COLLECTING, ...spec.command] }
  return withIdle(collecting, signal, async ({ url, pid }, connected) => {
    const load = { url, connections, seconds: MEMORY_LOAD_SECONDS, close: false }
    await loader.run(load, signal)
    const bytesWithout = await settledBytes(pid, signal)
    await connected.grow(idle, signal)
    await loader.run(load, signal)
    const bytesWith = await settledBytes(pid, signal)
    connected.assertOpen()
    return { server: spec.name, round, idle, bytesWithout, bytesWith }
  })
}

/** Starts a server for as long as it is used; closes all connections to it first and then stops it. */
async function withIdle<T>(
  spec: ServerSpec,
  signal: AbortSignal,
  use: (server: RunningServer, connected: IdleConnections) => Promise<T>,
): Promise<T> {
  const server = await startServer(spec, signal)
  const connected = new IdleConnections(server.url)
  try {
    return await use(server, connected)
  } finally {
    await connected.close()
    await server.stop()
  }
}

/** The memory once it is steady: V8 gives pages back some time after a collection. */
async function settledBytes(pid: number, signal: AbortSignal): Promise<number> {
  let last = memoryBytes(pid)
  for (let tries = 0; tries < SETTLE_TRIES; tries++) {
    await sleep(SETTLE_MS, undefined, { signal })
    const bytes = memoryBytes(pid)
    if (Math.abs(bytes - last) <= SETTLED_BYTES) return bytes
    last = bytes
  }
  return last
}
