/** The suites of the families: the models of each, with the options that make another server of one, beside node:http. */
import { fileURLToPath } from 'node:url'
import { type Contender, selectFrom } from './contender.js'
import { measure, type Scenario, scenariosFor } from './measure.js'
import { mixedLoader, RATE } from './mixed-load.js'
import { renderMarkdown, renderText, summarise } from './report.js'
import { nodeHttpServer, type ServerSpec } from './servers.js'
import type { Suite, SuiteRequest } from './suite.js'

const BURNING_APP = fileURLToPath(import.meta.resolve('./burning-app.js'))

const ONE_BY_ONE: Scenario = {
  name: 'one by one',
  title: 'one connection per request, one client',
  connections: 1,
  close: true,
}

const BURNING: Scenario = {
  name: 'burning',
  title: `${RATE} requests a second at random times, of which a tenth burns 5 ms of CPU: latency of the others`,
  connections: 32,
  close: false,
}

interface Family {
  readonly name: string
  readonly description: string
  readonly reference?: readonly ServerSpec[]
  readonly contenders: readonly Contender[]
  readonly scenarios: (connections: number) => readonly Scenario[]
  /** Whether to measure what becomes of cheap requests beside expensive ones. */
  readonly burning?: boolean
}

const cluster: ServerSpec = { name: 'node:http ×2', command: [...nodeHttpServer.command, '--workers', '2'] }

function model(name: string, needs: Readonly<Record<string, string>> = {}): Contender {
  const settings = Object.entries(needs).map(([option, value]) => ` ${option}=${value}`)
  return { name: `${name}${settings.join('')}`, model: name, needs }
}

function withStartCosts(connections: number): readonly Scenario[] {
  return [...scenariosFor(connections), ONE_BY_ONE]
}

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
    contenders: [model('multi-thread', { spare: '8' }), model('multi-thread', { spare: '0' }), model('thread-pool')],
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
    ],
    scenarios: scenariosFor,
    burning: true,
  }),
]

function suiteOf({ name, description, reference = [], contenders, scenarios, burning = false }: Family): Suite {
  return {
    name,
    description,
    flags: [],

    select: (known, wanted) =>
      selectFrom({ suite: name, reference: [nodeHttpServer, ...reference], contenders }, known, wanted),

    async measure(servers, request) {
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
        [`${name}.md`]: renderMarkdown(report),
      }
      return { text: renderText(report), files, failures: report.failures }
    },
  }
}

function measureBurning(servers: readonly ServerSpec[], request: SuiteRequest): ReturnType<typeof measure> {
  const burning = servers.map((spec) => ({ ...spec, command: spec.command.map(burningInstead) }))
  return measure({ ...request, servers: burning, scenarios: [BURNING], loader: mixedLoader })
}

/** The same command with the app that can burn; node:http has it built in. */
function burningInstead(word: string, at: number, command: readonly string[]): string {
  return command[at - 1] === '--app' ? BURNING_APP : word
}
