/** The command behind `npm run bench`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, release, type } from 'node:os'
import { join, resolve } from 'node:path'
import { defineCommand, type ParsedArgs, runMain } from 'citty'
import { findLoader } from './load.js'
import { measure, scenariosFor } from './measure.js'
import { type Environment, type Report, renderMarkdown, renderText, summarise } from './report.js'
import { listModels, modelServer, nodeHttpServer } from './servers.js'

const QUICK_ROUNDS = '3'
const QUICK_SECONDS = '2'
const FOLDER = 'bench-report'

const args = {
  quick: { type: 'boolean', description: `${QUICK_ROUNDS} rounds of ${QUICK_SECONDS} seconds` },
  models: { type: 'string', description: 'the models, with commas between; default: all that run on this machine' },
  rounds: { type: 'string', description: 'how often each server is measured; default: 3' },
  seconds: { type: 'string', description: 'length of one measurement; default: 5' },
  connections: { type: 'string', description: 'connections of the keep-alive scenario; default: 64' },
  load: { type: 'string', description: 'wrk or autocannon; default: wrk where it is installed' },
} as const

type Given = ParsedArgs<typeof args>

const command = defineCommand({
  meta: { name: 'npm run bench --', description: 'Compares the models with each other and with node:http' },
  args,
  run: async ({ args: given, rawArgs }) => {
    try {
      refuseUnknown(given)
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
await runMain(command)

/** citty takes what it does not know without a word. */
function refuseUnknown(given: object): void {
  const unknown = Object.keys(given).find((name) => name !== '_' && !(name in args))
  if (unknown !== undefined) throw new Error(`--${unknown} is unknown; --help lists the arguments`)
}

async function bench(given: Given, rawArgs: readonly string[]): Promise<void> {
  if (process.platform !== 'linux') throw new Error('the CPU figures need /proc, which only Linux has')
  const rounds = count('rounds', given.rounds ?? QUICK_ROUNDS)
  const seconds = count('seconds', given.seconds ?? (given.quick ? QUICK_SECONDS : '5'))
  const scenarios = scenariosFor(count('connections', given.connections ?? '64'))
  const loader = findLoader(given.load)
  const models = given.models?.split(',').map((name) => name.trim()) ?? (await listModels())
  const servers = [nodeHttpServer, ...models.map(modelServer)]
  const { signal } = stopping
  const progress = (what: string): void => void process.stderr.write(`${what}\n`)
  const results = await measure({ servers, scenarios, loader, rounds, seconds, signal, progress })
  const environment = describeEnvironment(rawArgs, loader.name, rounds, seconds)
  write(summarise(environment, scenarios, results))
}

function count(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} must be a whole number above 0, not ${text}`)
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

function write(report: Report): void {
  const folder = resolve(process.env.INIT_CWD ?? '.', FOLDER)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`)
  writeFileSync(join(folder, 'report.md'), renderMarkdown(report))
  process.stdout.write(renderText(report))
  if (report.failures.length > 0) process.exitCode = 1
}
