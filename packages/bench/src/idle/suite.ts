/** The suite of idle connections: what they cost the active ones, for each event demultiplexer. */

import { type Contender, selectFrom } from '../contender.js'
import { openFilesLimit } from '../open-files.js'
import { nodeHttpServer, type ServerSpec } from '../servers.js'
import type { Suite } from '../suite.js'
import { measureIdle } from './measure.js'
import { plotIdle } from './plot.js'
import { renderIdleMarkdown, renderIdleText, summariseIdle } from './report.js'

const COUNTS = [0, 100, 500, 900, 2000, 5000, 8000]

/** Descriptors that a server and the bench need for themselves: node's own, the listening socket, the reserve. */
const OWN_FILES = 60
const FD_SETSIZE = 1024

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

  select: (known, wanted) =>
    selectFrom({ suite: 'idle', reference: [reference], contenders: CONTENDERS, settings: NO_TIMEOUT }, known, wanted),

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
