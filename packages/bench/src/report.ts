/** The report: medians over the rounds, as an aligned table for the terminal, as Markdown and as JSON. */
import type { Measurement, Scenario } from './measure.js'
import type { Failure } from './rounds.js'
import { alignedTable, markdownTable } from './table.js'

/** Where and how the figures were made. */
export interface Environment {
  readonly date: string
  readonly command: string
  readonly node: string
  readonly cpu: string
  readonly cpus: number
  readonly kernel: string
  readonly load: string
  readonly rounds: number
  readonly seconds: number
}

/** The medians of one server in one scenario. */
export interface Row {
  readonly server: string
  readonly rounds: number
  readonly requestsPerSecond: number
  readonly cpuMicrosecondsPerRequest: number
  /** The smallest and the largest of the rounds. */
  readonly cpuMicrosecondsPerRequestRange: readonly [number, number]
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of all rounds together. */
  readonly errors: number
  /** CPU time a request, divided by that of node:http in the same run. */
  readonly cpuRatio: number | undefined
}

export interface Report {
  readonly environment: Environment
  readonly scenarios: readonly (Scenario & { readonly rows: readonly Row[] })[]
  readonly failures: readonly Failure[]
  readonly measurements: readonly Measurement[]
}

const REFERENCE = 'node:http'

/** The middle value; of an even number of values the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2
}

/** Brings the measurements of all rounds together, in the order in which the servers were measured. */
export function summarise(
  environment: Environment,
  scenarios: readonly Scenario[],
  { measurements, failures }: { measurements: readonly Measurement[]; failures: readonly Failure[] },
): Report {
  const tables = scenarios.map((scenario) => {
    const rows = rowsOf(measurements.filter((each) => each.scenario === scenario.name))
    return { ...scenario, rows }
  })
  return { environment, scenarios: tables, failures, measurements }
}

function rowsOf(measurements: readonly Measurement[]): readonly Row[] {
  const servers = [...new Set(measurements.map((each) => each.server))]
  const rows = servers.map((server) =>
    rowOf(
      server,
      measurements.filter((each) => each.server === server),
    ),
  )
  const reference = rows.find((row) => row.server === REFERENCE)?.cpuMicrosecondsPerRequest
  return rows.map((row) => ({ ...row, cpuRatio: reference && row.cpuMicrosecondsPerRequest / reference }))
}

function rowOf(server: string, rounds: readonly Measurement[]): Row {
  const cpu = rounds.map((each) => each.cpuMicroseconds / each.requests)
  return {
    server,
    rounds: rounds.length,
    requestsPerSecond: median(rounds.map((each) => each.requests / each.seconds)),
    cpuMicrosecondsPerRequest: median(cpu),
    cpuMicrosecondsPerRequestRange: [Math.min(...cpu), Math.max(...cpu)],
    p50Ms: median(rounds.map((each) => each.p50Ms)),
    p99Ms: median(rounds.map((each) => each.p99Ms)),
    errors: rounds.reduce((sum, each) => sum + each.errors, 0),
    cpuRatio: undefined,
  }
}

// as text -------------------------------------------------------------------------------------------------------------

const HEADINGS = [
  'server',
  'CPU µs/request',
  'lowest-highest',
  `of ${REFERENCE}`,
  'requests/s',
  'p50 ms',
  'p99 ms',
  'errors',
]

/** The report for a terminal. */
export function renderText(report: Report): string {
  const tables = report.scenarios.map(({ title, rows }) => `${title}\n\n${alignedTable(cellsOf(rows))}`)
  return [...describe(report.environment), '', tables.join('\n\n'), '', ...failureLines(report.failures, ''), ''].join(
    '\n',
  )
}

/** The report as Markdown. */
export function renderMarkdown(report: Report): string {
  const tables = report.scenarios.flatMap(({ title, rows }) => [`## ${title}`, '', markdownTable(cellsOf(rows)), ''])
  const environment = describe(report.environment).map((line) => `- ${line}`)
  return ['# Bench report', '', ...environment, '', ...tables, ...failureLines(report.failures, '- '), ''].join('\n')
}

/** Where and how the figures were made, in a few lines. */
export function describe(environment: Environment): readonly string[] {
  const { date, command, node, cpu, cpus, kernel, load, rounds, seconds } = environment
  return [
    `${date}: ${command}`,
    `Node ${node}, ${cpus} × ${cpu}, ${kernel}`,
    `load by ${loaderOf(load)} on the same machine; medians of ${rounds} interleaved rounds of ${seconds} s, after a warm-up each`,
    'CPU: user and system time of all processes of the server, divided by the requests it answered meanwhile',
  ]
}

function loaderOf(load: string): string {
  return load === 'autocannon' ? 'autocannon, which tells latencies in whole ms,' : load
}

function cellsOf(rows: readonly Row[]): readonly (readonly string[])[] {
  const lines = rows.map((row) => [
    row.server,
    row.cpuMicrosecondsPerRequest.toFixed(2),
    row.cpuMicrosecondsPerRequestRange.map((value) => value.toFixed(2)).join('-'),
    row.cpuRatio?.toFixed(2) ?? '',
    row.requestsPerSecond.toFixed(0),
    row.p50Ms.toFixed(2),
    row.p99Ms.toFixed(2),
    `${row.errors}`,
  ])
  return [HEADINGS, ...lines]
}

/** What failed, a line each behind a heading; nothing where nothing did. */
export function failureLines(failures: readonly Failure[], bullet: string): readonly string[] {
  if (failures.length === 0) return []
  return [
    '',
    'Failed:',
    '',
    ...failures.map(({ server, round, message }) => `${bullet}${server}, round ${round}: ${message}`),
  ]
}
