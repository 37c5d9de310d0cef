/** The command behind `npm run bench`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, release, type } from 'node:os'
import { join, resolve } from 'node:path'
import { defineCommand, type ParsedArgs, renderUsage, runMain } from 'citty'
import { findLoader } from './load.js'
import type { Environment } from './report.js'
import { listModels } from './servers.js'
import type { Suite, SuiteReport, SuiteRequest } from './suite.js'
import { findSuites, suites } from './suites.js'

const QUICK_ROUNDS = '3'
const QUICK_SECONDS = '2'
const FOLDER = 'bench-report'

const args = {
  suites: {
    type: 'positional',
    required: false,
    description: `the suites, as listed below; default: ${suites[0]?.name}`,
  },
  quick: { type: 'boolean', description: `${QUICK_ROUNDS} rounds of ${QUICK_SECONDS} seconds` },
  models: { type: 'string', description: 'the models, with commas between; default: all of the suite that run here' },
  rounds: { type: 'string', description: 'how often each server is measured; default: 3' },
  seconds: { type: 'string', description: 'length of one measurement; default: 5' },
  connections: { type: 'string', description: 'connections that are kept alive and active; default: 64' },
  idle: { type: 'string', description: 'suite idle: counts of idle connections, with commas between' },
  load: { type: 'string', description: 'wrk or autocannon; default: wrk where it is installed' },
} as const

type Given = ParsedArgs<typeof args>

const command = defineCommand({
  meta: { name: 'npm run bench --', description: 'Compares the models with each other and with node:http' },
  args,
  run: async ({ args: given, rawArgs }) => {
    try {
      await bench(given, rawArgs)
    } catch (error) {
      if (stopping.signal.aborted) return
      process.stderr.write(`${(error as Error).message}\n`)
      process.exitCode = 1
    }
  },
})

const stopping = new AbortController()
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => {
    process.exitCode = code
    stopping.abort()
  })
}
await runMain(command, { showUsage })

async function showUsage(): Promise<void> {
  const width = Math.max(...suites.map(({ name }) => name.length))
  const lines = suites.map(({ name, description }) => `  ${name.padEnd(width)}  ${description}\n`)
  process.stdout.write(`${await renderUsage(command)}\n\nSuites:\n\n${lines.join('')}`)
}

/** citty takes what it does not know without a word. */
function refuseUnknown(given: object): void {
  const unknown = Object.keys(given).find((name) => name !== '_' && !(name in args))
  if (unknown !== undefined) throw new Error(`--${unknown} is unknown; --help lists the arguments`)
}

/** A flag that none of the chosen suites would look at. */
function refuseUseless(given: object, chosen: readonly Suite[]): void {
  for (const { name, flags } of suites.filter((suite) => !chosen.includes(suite))) {
    const useless = flags.find((flag) => flag in given && !chosen.some((suite) => suite.flags.includes(flag)))
    if (useless !== undefined) throw new Error(`--${useless} is for the suite ${name}`)
  }
}

async function bench(given: Given, rawArgs: readonly string[]): Promise<void> {
  refuseUnknown(given)
  const chosen = findSuites(given._)
  refuseUseless(given, chosen)
  if (process.platform !== 'linux') throw new Error('the CPU figures need /proc, which only Linux has')
  const request = requestOf(given, rawArgs)
  const known = await listModels()
  const wanted = given.models?.split(',').map((name) => name.trim())
  const selections = chosen.map((suite) => ({ suite, ...suite.select(known, wanted) })) // before anything is measured
  for (const { suite, servers, skipped } of selections) {
    for (const { server, reason } of skipped) request.progress(`skipped: ${server}: ${reason}`)
    write(await suite.measure(servers, { ...request, skipped }))
  }
}

function requestOf(given: Given, rawArgs: readonly string[]): Omit<SuiteRequest, 'skipped'> {
  const rounds = count('rounds', given.rounds ?? QUICK_ROUNDS)
  const seconds = count('seconds', given.seconds ?? (given.quick ? QUICK_SECONDS : '5'))
  const connections = count('connections', given.connections ?? '64')
  const loader = findLoader(given.load)
  return {
    loader,
    rounds,
    seconds,
    connections,
    idle: given.idle === undefined ? undefined : counts('idle', given.idle),
    environment: describeEnvironment(rawArgs, loader.name, rounds, seconds),
    signal: stopping.signal,
    progress: (what) => void process.stderr.write(`${what}\n`),
  }
}

function count(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} must be a whole number above 0, not ${text}`)
}

/** Whole numbers from 0 on, with commas between; each once, ascending. */
function counts(name: string, text: string): readonly number[] {
  const values = text.split(',').map((part) => (/^\s*\d+\s*$/.test(part) ? Number(part) : Number.NaN))
  if (!values.some(Number.isNaN)) return [...new Set(values)].toSorted((a, b) => a - b)
  throw new Error(`--${name} must be whole numbers with commas between, not ${text}`)
}

function describeEnvironment(rawArgs: readonly string[], load: string, rounds: number, seconds: number): Environment {
  const processors = cpus()
  return {
    date: new Date().toISOString(),
    command: ['npm run bench --', ...rawArgs].join(' '),
    node: process.versions.node,
    cpu: processors[0]?.model ?? 'unknown',
    cpus: processors.length,
    kernel: `${type()} ${release()}`,
    load,
    rounds,
    seconds,
  }
}

function write({ text, files, failures }: SuiteReport): void {
  const folder = resolve(process.env.INIT_CWD ?? '.', FOLDER)
  mkdirSync(folder, { recursive: true })
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  process.stdout.write(text)
  if (failures.length > 0) process.exitCode = 1
}
