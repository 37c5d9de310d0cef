/** The report on idle connections: medians over the rounds, a row for each server, a column for each count. */
import { describe, type Environment, failureLines, median } from '../report.js'
import type { Failure } from '../rounds.js'
import type { ServerSpec } from '../servers.js'
import type { Skip } from '../suite.js'
import { alignedTable, markdownTable } from '../table.js'
import type { Gap, IdleMeasurement, IdleResults, MemoryMeasurement } from './measure.js'

/** The medians of one server beside one count of idle connections. */
export interface Cell {
  readonly idle: number
  readonly rounds: number
  readonly cpuMicrosecondsPerRequest: number
  /** The smallest and the largest of the rounds. */
  readonly cpuMicrosecondsPerRequestRange: readonly [number, number]
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of all rounds together. */
  readonly errors: number
}

/** User-space memory for each idle connection, in bytes. */
export interface IdleMemory {
  /** How many idle connections it is the mean of. */
  readonly idle: number
  readonly rounds: number
  /** What a connection holds: the server's garbage is collected. */
  readonly bytesPerConnection: number
  /** The smallest and the largest of the rounds. */
  readonly bytesPerConnectionRange: readonly [number, number]
  /** With the garbage that V8 leaves by its defaults, from the fewest to the most idle connections; none where there is one count. */
  readonly bytesPerConnectionAsItRuns: number | undefined
}

/** One server. */
export interface IdleRow {
  readonly server: string
  /** Those that were measured. */
  readonly cells: readonly Cell[]
  readonly memory: IdleMemory | undefined
}

export interface IdleReport {
  readonly environment: Environment
  /** Active connections. */
  readonly connections: number
  /** Counts of idle connections, ascending. */
  readonly idle: readonly number[]
  /** Counts that the limit of open files does not allow. */
  readonly leftOut: readonly number[]
  readonly rows: readonly IdleRow[]
  readonly gaps: readonly Gap[]
  readonly skipped: readonly Skip[]
  readonly failures: readonly Failure[]
  readonly measurements: readonly IdleMeasurement[]
  readonly memory: readonly MemoryMeasurement[]
}

/** What was asked for. */
export interface IdleRequest extends Pick<IdleReport, 'environment' | 'connections' | 'idle' | 'leftOut' | 'skipped'> {
  readonly servers: readonly Pick<ServerSpec, 'name'>[]
}

/** Brings the measurements of all rounds together. */
export function summariseIdle(request: IdleRequest, results: IdleResults): IdleReport {
  const { environment, connections, idle, leftOut, skipped, servers } = request
  const rows = servers.map(({ name }) => rowOf(name, idle, results))
  return { environment, connections, idle, leftOut, rows, skipped, ...results }
}

function rowOf(server: string, counts: readonly number[], results: IdleResults): IdleRow {
  const own = results.measurements.filter((each) => each.server === server)
  const measured = counts.map((idle) => own.filter((each) => each.idle === idle)).filter((rounds) => rounds.length > 0)
  const memory = results.memory.filter((each) => each.server === server)
  return { server, cells: measured.map(cellOf), memory: memoryOf(memory, own) }
}

function cellOf(rounds: readonly IdleMeasurement[]): Cell {
  const cpu = rounds.map((each) => each.cpuMicroseconds / each.requests)
  return {
    idle: rounds[0]?.idle ?? 0,
    rounds: rounds.length,
    cpuMicrosecondsPerRequest: median(cpu),
    cpuMicrosecondsPerRequestRange: [Math.min(...cpu), Math.max(...cpu)],
    requestsPerSecond: median(rounds.map((each) => each.requests / each.seconds)),
    p50Ms: median(rounds.map((each) => each.p50Ms)),
    p99Ms: median(rounds.map((each) => each.p99Ms)),
    errors: rounds.reduce((sum, each) => sum + each.errors, 0),
  }
}

function memoryOf(rounds: readonly MemoryMeasurement[], loads: readonly IdleMeasurement[]): IdleMemory | undefined {
  if (rounds.length === 0) return undefined
  const bytes = rounds.map((each) => (each.bytesWith - each.bytesWithout) / each.idle)
  const asItRuns = rounds.flatMap(({ round }) => growthOf(loads.filter((each) => each.round === round)))
  return {
    idle: rounds[0]?.idle ?? 0,
    rounds: rounds.length,
    bytesPerConnection: median(bytes),
    bytesPerConnectionRange: [Math.min(...bytes), Math.max(...bytes)],
    bytesPerConnectionAsItRuns: asItRuns.length > 0 ? median(asItRuns) : undefined,
  }
}

/** Bytes for each connection between the fewest and the most of one round; nothing where these are the same. */
function growthOf(round: readonly IdleMeasurement[]): readonly number[] {
  const [fewest, most] = [round[0], round.at(-1)]
  if (fewest === undefined || most === undefined || fewest.idle === most.idle) return []
  return [(most.memoryBytes - fewest.memoryBytes) / (most.idle - fewest.idle)]
}

// as text -------------------------------------------------------------------------------------------------------------

interface Table {
  readonly title: string
  readonly lines: readonly (readonly string[])[]
}

/** The report for a terminal. */
export function renderIdleText(report: IdleReport): string {
  const tables = tablesOf(report).map(({ title, lines }) => `${title}\n\n${alignedTable(lines)}`)
  return [...head(report), '', tables.join('\n\n'), ...notes(report, ''), ''].join('\n')
}

/** The report as Markdown, with the plot beside it. */
export function renderIdleMarkdown(report: IdleReport): string {
  const tables = tablesOf(report).flatMap(({ title, lines }) => [`## ${title}`, '', markdownTable(lines), ''])
  const lines = head(report).map((line) => `- ${line}`)
  const plot = '![CPU time per request over the number of idle connections](idle.svg)'
  return ['# Idle connections', '', ...lines, '', plot, '', ...tables.slice(0, -1), ...notes(report, '- '), ''].join(
    '\n',
  )
}

function head({ environment, connections }: IdleReport): readonly string[] {
  return [
    ...describe(environment),
    `load: ${connections} active keep-alive connections, beside idle ones that have had one answer each`,
    'memory: growth of what all processes of the server have in user space, divided by the idle connections;' +
      ' held: with its garbage collected, as it runs: with the garbage that V8 leaves by its defaults',
  ]
}

function tablesOf(report: IdleReport): readonly Table[] {
  return [
    { title: 'CPU µs/request', lines: gridOf(report, (cell) => cell.cpuMicrosecondsPerRequest.toFixed(2)) },
    { title: 'requests/s', lines: gridOf(report, (cell) => cell.requestsPerSecond.toFixed(0)) },
    { title: 'KB of user-space memory per idle connection', lines: memoryLines(report) },
  ]
}

function gridOf(report: IdleReport, show: (cell: Cell) => string): readonly (readonly string[])[] {
  const lines = report.rows.map(({ server, cells }) => {
    const shown = report.idle.map((idle) => {
      const cell = cells.find((each) => each.idle === idle)
      return cell === undefined ? `–${markOf(report, server, idle)}` : show(cell)
    })
    return [server, ...shown]
  })
  return [['idle connections', ...report.idle.map(thousands)], ...lines]
}

const MEMORY_HEADINGS = ['server', 'held', 'lowest to highest', 'as it runs', 'of connections']

function memoryLines({ rows }: IdleReport): readonly (readonly string[])[] {
  return [MEMORY_HEADINGS, ...rows.map(({ server, memory }) => [server, ...memoryCells(memory)])]
}

function memoryCells(memory: IdleMemory | undefined): readonly string[] {
  if (memory === undefined) return MEMORY_HEADINGS.slice(1).map(() => '–')
  const { bytesPerConnection, bytesPerConnectionRange, bytesPerConnectionAsItRuns: asItRuns, idle } = memory
  const range = bytesPerConnectionRange.map(kilobytes).join(' to ')
  return [kilobytes(bytesPerConnection), range, asItRuns === undefined ? '–' : kilobytes(asItRuns), thousands(idle)]
}

function kilobytes(bytes: number): string {
  return (bytes / 1000).toFixed(2)
}

function thousands(count: number): string {
  return `${count}`.replace(/\B(?=(\d{3})+$)/g, ',')
}

// footnotes -----------------------------------------------------------------------------------------------------------

const MARKS = ['¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹']

/** The reasons of empty cells, each once; its place is its number. */
function reasonsOf({ gaps }: IdleReport): readonly string[] {
  return [...new Set(gaps.map(({ server, reason }) => `${server}: ${reason}`))]
}

function markOf(report: IdleReport, server: string, idle: number): string {
  const gap = report.gaps.find((each) => each.server === server && each.idle === idle)
  return gap === undefined ? '' : (MARKS[reasonsOf(report).indexOf(`${gap.server}: ${gap.reason}`)] ?? '')
}

function notes(report: IdleReport, bullet: string): readonly string[] {
  const { rows, leftOut, skipped, failures } = report
  const left = leftOut.map(
    (count) => `left out: ${thousands(count)} idle connections: the limit of open files is too low`,
  )
  const errors = rows.flatMap(({ server, cells }) =>
    cells
      .filter((cell) => cell.errors > 0)
      .map((cell) => `errors of the load: ${cell.errors} on ${server} with ${thousands(cell.idle)} idle connections`),
  )
  const lines = [
    ...reasonsOf(report).map((reason, at) => `${MARKS[at] ?? ''} ${reason}`),
    ...left,
    ...skipped.map(({ server, reason }) => `skipped: ${server}: ${reason}`),
    ...errors,
  ]
  const separated = lines.length > 0 ? ['', ...lines.map((line) => `${bullet}${line}`)] : []
  return [...separated, ...failureLines(failures, bullet)]
}
