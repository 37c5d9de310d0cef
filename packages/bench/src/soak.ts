/**
 * The suite that looks for leaks: many connections through each server, one request each, and what it holds before and after.
 *
 *   start ── warm up ── settle, count ── load until the connections are made ── settle, count ── stop
 */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { livingProcessesOf } from './process-cpu.js'
import { describe } from './report.js'
import { type Failure, interleave } from './rounds.js'
import { modelServer, type RunningServer, type ServerSpec, startServer } from './servers.js'
import type { Suite, SuiteRequest } from './suite.js'
import { alignedTable, markdownTable } from './table.js'

const CONNECTIONS = 100_000
const CLIENTS = 32
/** Seconds of load at a time, until there are enough connections. */
const TURN_SECONDS = 5
const WARM_UP_SECONDS = 3
/** In which a server must come back to what it held: threads that are kept in reserve end after some seconds. */
const SETTLE_MS = 20_000
const LOOK_MS = 250
/** Looks that must be the same before the count stands. */
const STEADY_LOOKS = 8

/** What all processes of a server hold. */
export interface Holdings {
  readonly processes: number
  readonly threads: number
  readonly descriptors: number
  readonly sharedMappings: number
}

/** What became of one server. */
export interface Soaking {
  readonly server: string
  readonly connections: number
  readonly errors: number
  readonly before: Holdings
  readonly after: Holdings
}

export const soak: Suite = {
  name: 'soak',
  description:
    '100,000 connections through each model: processes, threads, descriptors, shared mappings before and after',
  flags: [],

  select(known, wanted) {
    const models = wanted ?? known.filter((model) => model.runs).map((model) => model.name)
    return { servers: models.map((model) => modelServer(model)), skipped: [] }
  },

  async measure(servers, request) {
    const soakings: Soaking[] = []
    const failures = await interleave({ ...request, servers, rounds: 1 }, async (spec) => {
      soakings.push(await soakOne(spec, request))
    })
    const leaks = soakings.flatMap(leaksOf)
    const table = [HEADINGS, ...soakings.map(cellsOf)]
    const lines = [...failures, ...leaks].map(({ server, message }) => `${server}: ${message}`)
    const text = [...describe(request.environment).slice(0, 2), '', alignedTable(table), '', ...lines, ''].join('\n')
    const markdown = ['# Soak', '', markdownTable(table), '', ...lines.map((line) => `- ${line}`), ''].join('\n')
    const files = { 'soak.json': `${JSON.stringify(soakings, undefined, 2)}\n`, 'soak.md': markdown }
    return { text, files, failures: [...failures, ...leaks] }
  },
}

async function soakOne(spec: ServerSpec, { loader, signal, progress }: SuiteRequest): Promise<Soaking> {
  const server = await startServer(spec, signal)
  try {
    const load = { url: server.url, connections: CLIENTS, close: true }
    await loader.run({ ...load, seconds: WARM_UP_SECONDS }, signal)
    const before = await settle(server, signal)
    let [connections, errors] = [0, 0]
    while (connections < CONNECTIONS) {
      progress(`${spec.name}: ${connections} of ${CONNECTIONS} connections`)
      const result = await loader.run({ ...load, seconds: TURN_SECONDS }, signal)
      if (result.requests === 0) throw new Error('it answers no more')
      connections += result.requests
      errors += result.errors
    }
    return { server: spec.name, connections, errors, before, after: await settle(server, signal, before) }
  } finally {
    await server.stop()
  }
}

/** What a server holds once that is steady or, after a load, once it is what it was before. */
async function settle({ pid }: RunningServer, signal: AbortSignal, before?: Holdings): Promise<Holdings> {
  const end = Date.now() + SETTLE_MS
  let last = holdingsOf(pid)
  for (let steady = 0; steady < STEADY_LOOKS || (before !== undefined && !isSame(last, before)); steady++) {
    if (Date.now() >= end) break
    await sleep(LOOK_MS, undefined, { signal })
    const now = holdingsOf(pid)
    if (!isSame(now, last)) steady = -1
    last = now
  }
  return last
}

/** Counts what the processes of a server hold at this moment. */
export function holdingsOf(pid: number): Holdings {
  const all = livingProcessesOf(pid).map((process) => holdingsOfOne(process.pid))
  const sum = (of: (each: Holdings) => number): number => all.reduce((total, each) => total + of(each), 0)
  return {
    processes: all.length,
    threads: sum((each) => each.threads),
    descriptors: sum((each) => each.descriptors),
    sharedMappings: sum((each) => each.sharedMappings),
  }
}

function holdingsOfOne(pid: number): Holdings {
  try {
    const maps = readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')
    return {
      processes: 1,
      threads: readdirSync(`/proc/${pid}/task`).length,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      sharedMappings: maps.filter((line) => /^\S+ ...s /.test(line)).length,
    }
  } catch {
    return { processes: 0, threads: 0, descriptors: 0, sharedMappings: 0 } // it has ended meanwhile
  }
}

const KINDS = ['processes', 'threads', 'descriptors', 'sharedMappings'] as const

function isSame(one: Holdings, other: Holdings): boolean {
  return KINDS.every((kind) => one[kind] === other[kind])
}

function leaksOf({ server, before, after, errors }: Soaking): readonly Failure[] {
  const leaks = KINDS.filter((kind) => after[kind] > before[kind]).map(
    (kind) => `${kind}: ${before[kind]} before, ${after[kind]} after`,
  )
  const all = errors === 0 ? leaks : [...leaks, `${errors} errors`]
  return all.map((message) => ({ server, round: 1, message }))
}

const HEADINGS = ['server', 'connections', 'errors', 'processes', 'threads', 'descriptors', 'shared mappings']

function cellsOf({ server, connections, errors, before, after }: Soaking): readonly string[] {
  const counts = KINDS.map((kind) =>
    before[kind] === after[kind] ? `${after[kind]}` : `${before[kind]}→${after[kind]}`,
  )
  return [server, `${connections}`, `${errors}`, ...counts]
}
