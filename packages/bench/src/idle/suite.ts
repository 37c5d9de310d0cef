/** The suite of idle connections: what they cost the active ones, for each event demultiplexer. */
import { openFilesLimit } from '../open-files.js'
import { type ModelEntry, modelServer, nodeHttpServer, type ServerSpec } from '../servers.js'
import type { Selection, Skip, Suite } from '../suite.js'
import { measureIdle } from './measure.js'
import { plotIdle } from './plot.js'
import { renderIdleMarkdown, renderIdleText, summariseIdle } from './report.js'

const COUNTS = [0, 100, 500, 900, 2000, 5000, 8000]

/** Descriptors that a server and the bench need for themselves: node's own, the listening socket, the reserve. */
const OWN_FILES = 60
const FD_SETSIZE = 1024

/** A server of the suite: a model with options it must have, and with those that are set only where it has them. */
interface Contender {
  readonly name: string
  readonly model: string
  readonly needs?: Readonly<Record<string, string>>
  readonly takes?: Readonly<Record<string, string>>
  readonly bound?: ServerSpec['bound']
}

const CONTENDERS: readonly Contender[] = [
  {
    name: 'select',
    model: 'select',
    bound: {
      connections: FD_SETSIZE - OWN_FILES,
      reason: `FD_SETSIZE: select(2) cannot watch a descriptor from ${FD_SETSIZE} on`,
    },
  },
  { name: 'poll', model: 'poll' },
  { name: 'epoll level', model: 'epoll', takes: { trigger: 'level' } }, // without the option, level is what it is
  { name: 'epoll edge', model: 'epoll', needs: { trigger: 'edge' } },
  { name: 'kqueue', model: 'kqueue' },
]

/** Idle connections stay open on every server until the bench closes them. */
const NO_TIMEOUT = { idleTimeout: '0' }
const reference: ServerSpec = { ...nodeHttpServer, command: [...nodeHttpServer.command, '--keep-alive-timeout', '0'] }

export const idle: Suite = {
  name: 'idle',
  description: 'CPU time, rate and memory beside 0 to 8,000 idle connections: select, poll, epoll, kqueue, node:http',
  flags: ['idle'],

  select(known, wanted): Selection {
    const models = [...new Set(CONTENDERS.map((contender) => contender.model))]
    const unknown = wanted?.find((model) => !models.includes(model))
    if (unknown !== undefined) throw new Error(`the suite idle has no '${unknown}'; it has: ${models.join(', ')}`)
    const asked = CONTENDERS.filter(({ model }) => wanted?.includes(model) ?? true)
    const found = asked.map((contender) => specOf(contender, known))
    const servers = found.filter((each): each is ServerSpec => 'command' in each)
    return { servers: [reference, ...servers], skipped: found.filter((each): each is Skip => 'reason' in each) }
  },

  async measure(servers, request) {
    const asked = request.idle ?? COUNTS
    const most = openFilesLimit() - OWN_FILES - request.connections
    const counts = asked.filter((count) => count <= most)
    const leftOut = asked.filter((count) => count > most)
    for (const count of leftOut)
      request.progress(`left out: ${count} idle connections, the limit of open files is too low`)
    const results = await measureIdle({ ...request, servers, idle: counts })
    const report = summariseIdle({ ...request, servers, idle: counts, leftOut }, results)
    const files = {
      'idle.json': `${JSON.stringify(report, undefined, 2)}\n`,
      'idle.md': renderIdleMarkdown(report),
      'idle.svg': await plotIdle(report),
    }
    return { text: renderIdleText(report), files, failures: report.failures }
  },
}

function specOf(
  { name, model, needs = {}, takes = {}, bound }: Contender,
  known: readonly ModelEntry[],
): ServerSpec | Skip {
  const entry = known.find((each) => each.name === model)
  if (entry === undefined) return { server: name, reason: `there is no model ${model}` }
  if (!entry.runs) return { server: name, reason: entry.reason ?? 'it does not run on this machine' }
  const missing = Object.entries(needs).find(([option, value]) => !takesValue(entry, option, value))
  if (missing !== undefined) return { server: name, reason: `${model} has no option ${missing.join('=')}` }
  const own = Object.entries(takes).filter(([option, value]) => takesValue(entry, option, value))
  const settings = { ...NO_TIMEOUT, ...needs, ...Object.fromEntries(own) }
  return { ...modelServer(model, settings), name, ...(bound === undefined ? {} : { bound }) }
}

function takesValue(entry: ModelEntry, name: string, value: string): boolean {
  return entry.options.find((option) => option.name === name)?.choices?.includes(value) ?? false
}
