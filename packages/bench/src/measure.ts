/**
 * The measurement of the scenarios: every server once a round.
 *
 *   round ── server: start ── scenario: warm up ── CPU time ── load ── CPU time ── … ── stop ── next server
 *
 * A server starts afresh each round: what the compiler makes of it differs from start to start.
 */
import type { Loader, LoadResult } from './load.js'
import { cpuMicroseconds } from './process-cpu.js'
import { type Failure, interleave } from './rounds.js'
import { type RunningServer, type ServerSpec, startServer } from './servers.js'

const CLOSE_CLIENTS = 32

/** One kind of load. */
export interface Scenario {
  readonly name: string
  readonly title: string
  readonly connections: number
  readonly close: boolean
}

/** What a server did under a load. */
export interface LoadMeasurement extends LoadResult {
  /** CPU time of the server's processes while the load was on. */
  readonly cpuMicroseconds: number
}

/** What one server did in one scenario of one round. */
export interface Measurement extends LoadMeasurement {
  readonly server: string
  readonly scenario: string
  readonly round: number
}

export interface MeasureOptions {
  readonly servers: readonly ServerSpec[]
  readonly scenarios: readonly Scenario[]
  readonly loader: Loader
  /** What warms a server up. Default: the same. */
  readonly warmer?: Loader
  readonly rounds: number
  /** Of one measurement; each is preceded by a warm-up. */
  readonly seconds: number
  readonly signal: AbortSignal
  /** Told in a few words what is being done. */
  readonly progress: (what: string) => void
}

/** The scenarios of the bench. */
export function scenariosFor(connections: number): readonly Scenario[] {
  const close = `one connection per request, ${CLOSE_CLIENTS} clients`
  return [
    { name: 'keep-alive', title: `keep-alive, ${connections} connections`, connections, close: false },
    { name: 'close', title: close, connections: CLOSE_CLIENTS, close: true },
  ]
}

/** Measures all servers; one that fails is reported, and the others go on. @throws when the signal is aborted */
export async function measure(
  options: MeasureOptions,
): Promise<{ measurements: readonly Measurement[]; failures: readonly Failure[] }> {
  const measurements: Measurement[] = []
  const failures = await interleave(options, (spec, round) => measureServer(spec, round, options, measurements))
  return { measurements, failures }
}

async function measureServer(
  spec: ServerSpec,
  round: number,
  options: MeasureOptions,
  measurements: Measurement[],
): Promise<void> {
  const server = await startServer(spec, options.signal)
  try {
    for (const scenario of options.scenarios) {
      if (spec.scenarios?.includes(scenario.name) === false) continue
      options.progress(`round ${round} of ${options.rounds}: ${spec.name}, ${scenario.title}`)
      measurements.push(await measureScenario(server, scenario, round, options))
    }
  } finally {
    await server.stop()
  }
}

async function measureScenario(
  server: RunningServer,
  { name: scenario, connections, close }: Scenario,
  round: number,
  options: MeasureOptions,
): Promise<Measurement> {
  return { server: server.name, scenario, round, ...(await measureLoad(server, { connections, close }, options)) }
}

/** Puts a load on a server, after a warm-up of a third of the time, at least a second. */
export async function measureLoad(
  { url, pid }: RunningServer,
  { connections, close }: { readonly connections: number; readonly close: boolean },
  { loader, warmer = loader, seconds, signal }: Pick<MeasureOptions, 'loader' | 'warmer' | 'seconds' | 'signal'>,
): Promise<LoadMeasurement> {
  const load = { url, connections, close }
  await warmer.run({ ...load, seconds: Math.max(1, Math.round(seconds / 3)) }, signal)
  const before = cpuMicroseconds(pid)
  const result = await loader.run({ ...load, seconds }, signal)
  return { ...result, cpuMicroseconds: cpuMicroseconds(pid) - before }
}
