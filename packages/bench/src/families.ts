/** The suites of the families: the models of each, with the options that make another server of one, beside node:http. */
import { fileURLToPath } from 'node:url'
import { type Contender, selectFrom } from './contender.js'
import { measure, type Scenario, scenariosFor } from './measure.js'
import { MEASURED, mixedLoader, warmerBy } from './mixed-load.js'
import { measureMessages, tableOfMessages } from './modern/messages.js'
import { measureTasks, tableOfTasks } from './modern/tasks.js'
import { renderMarkdown, renderText, summarise } from './report.js'
import { nodeHttpServer, type ServerSpec } from './servers.js'
import type { Suite, SuiteRequest } from './suite.js'
import { alignedTable, markdownTable } from './table.js'

const BURNING_APP = fileURLToPath(import.meta.resolve('./burning-app.js'))

const ONE_BY_ONE: Scenario = {
  name: 'one by one',
  title: 'one connection per request, one client',
  connections: 1,
  close: true,
}

const BURNING: Scenario = {
  name: 'burning',
  title: `${MEASURED.rate} requests a second at random times, of which one in ${MEASURED.every} burns 5 ms of CPU: latency of the others`,
  connections: 32,
  close: false,
}

/** A shorter burning load has too few requests for a 99th percentile. */
const LEAST_SECONDS = 6

/** What a library of the family costs by itself. */
interface Library {
  readonly title: string
  measure(): Promise<readonly (readonly string[])[]>
}

interface Family {
  readonly name: string
  readonly description: string
  readonly reference?: readonly ServerSpec[]
  readonly contenders: readonly Contender[]
  readonly scenarios: (connections: number) => readonly Scenario[]
  /** Whether to measure what becomes of cheap requests beside expensive ones. */
  readonly burning?: boolean
  /** What is measured without servers, before them. */
  readonly libraries?: readonly Library[]
}

const cluster: ServerSpec = { name: 'node:http ×2', command: [...nodeHttpServer.command, '--workers', '2'] }

function model(name: string, needs: Readonly<Record<string, string>> = {}): Contender {
  const settings = Object.entries(needs).map(([option, value]) => ` ${option}=${value}`)
  return { name: `${name}${settings.join('')}`, model: name, needs }
}

/** Short connections first: who has a thread, or a process, for each of many clients is long about ending them. */
function withStartCosts(connections: number): readonly Scenario[] {
  const [keepAlive, close] = scenariosFor(connections) as [Scenario, Scenario]
  return [close, ONE_BY_ONE, keepAlive]
}

/** Threads that run handlers have a processor each. */
const PINNED = { affinity: 'handlers' }
const PINNED_WORKERS = { workers: '2', ...PINNED }

export const families: readonly Suite[] = [
  suiteOf({
    name: 'processes',
    description:
      'the process models and node:http; one by one shows what a fork costs: multi-process less single-process',
    contenders: [
      model('single-process'),
      model('multi-process'),
      model('process-pool1', { processes: '2' }),
      model('process-pool2', { processes: '2' }),
    ],
    scenarios: withStartCosts,
  }),
  suiteOf({
    name: 'threads',
    description: 'the thread models and node:http; one by one shows what a thread costs: spare=0 less spare=8',
    contenders: [
      model('multi-thread', { spare: '8' }),
      { ...model('multi-thread', { spare: '0' }), scenarios: [ONE_BY_ONE.name] }, // 64 new threads take longer than a round
      model('thread-pool'),
    ],
    scenarios: withStartCosts,
  }),
  suiteOf({
    name: 'patterns',
    description: 'the patterns, epoll, node:http and its cluster; latency of cheap requests beside expensive ones',
    reference: [cluster],
    contenders: [
      model('epoll'),
      model('reactor'),
      model('reactor', { loops: '2' }),
      model('reactor', { workers: '2' }),
      model('reactor', { loops: '1', workers: '2' }),
      model('proactor'),
      model('event-loop'),
      model('half-sync-async'),
      model('leader-follower'),
      model('producer-consumer'),
      model('pipeline'),
      model('work-stealing'),
      model('hybrid', { combination: 'reactor+thread-pool' }),
      model('hybrid', { combination: 'processes+threads' }),
      model('hybrid', { combination: 'epoll+coroutine' }),
      ...[model('reactor', PINNED_WORKERS), model('half-sync-async', PINNED), model('work-stealing', PINNED)].map(
        (contender) => ({ ...contender, scenarios: [BURNING.name] }), // what it is for; it costs where handlers are short
      ),
    ],
    scenarios: scenariosFor,
    burning: true,
  }),
  suiteOf({
    name: 'modern',
    description: 'coroutine, fiber, actor, epoll and node:http; what a task that waits costs, and what a message costs',
    contenders: [model('epoll'), model('coroutine'), model('fiber'), model('actor')],
    scenarios: scenariosFor,
    libraries: [
      { title: 'tasks that wait', measure: async () => tableOfTasks(await measureTasks()) },
      { title: 'messages between actors', measure: async () => tableOfMessages(await measureMessages()) },
    ],
  }),
]

function suiteOf(family: Family): Suite {
  const { name, description, reference = [], contenders, scenarios, burning = false, libraries = [] } = family
  return {
    name,
    description,
    flags: [],

    select: (known, wanted) =>
      selectFrom({ suite: name, reference: [nodeHttpServer, ...reference], contenders }, known, wanted),

    async measure(servers, request) {
      const tables: [title: string, cells: readonly (readonly string[])[]][] = []
      for (const { title, measure } of libraries) {
        request.progress(title)
        tables.push([title, await measure()])
      }
      const plain = scenarios(request.connections)
      const results = [await measure({ ...request, servers, scenarios: plain })]
      if (burning) results.push(await measureBurning(servers, request))
      const together = {
        measurements: results.flatMap((each) => each.measurements),
        failures: results.flatMap((each) => each.failures),
      }
      const report = summarise(request.environment, burning ? [...plain, BURNING] : plain, together)
      const files = {
        [`${name}.json`]: `${JSON.stringify(report, undefined, 2)}\n`,
        [`${name}.md`]: [
          renderMarkdown(report),
          ...tables.map(([title, cells]) => `## ${title}\n\n${markdownTable(cells)}\n`),
        ].join('\n'),
      }
      const text = [renderText(report), ...tables.map(([title, cells]) => `${title}\n\n${alignedTable(cells)}\n`)].join(
        '\n',
      )
      return { text, files, failures: report.failures }
    },
  }
}

function measureBurning(servers: readonly ServerSpec[], request: SuiteRequest): ReturnType<typeof measure> {
  const burning = servers.map((spec) => ({ ...spec, command: spec.command.map(burningInstead) }))
  const seconds = Math.max(request.seconds, LEAST_SECONDS)
  return measure({
    ...request,
    servers: burning,
    scenarios: [BURNING],
    loader: mixedLoader,
    warmer: warmerBy(request.loader),
    seconds,
  })
}

/** The same command with the app that can burn; node:http has it built in. */
function burningInstead(word: string, at: number, command: readonly string[]): string {
  return command[at - 1] === '--app' ? BURNING_APP : word
}
