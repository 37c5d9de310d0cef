/** The suite of the models as a whole: what a request costs, on connections that are kept and on one for each request. */
import { measure, scenariosFor } from './measure.js'
import { renderMarkdown, renderText, summarise } from './report.js'
import { modelServer, nodeHttpServer } from './servers.js'
import type { Selection, Suite } from './suite.js'

export const throughput: Suite = {
  name: 'throughput',
  description: 'CPU time, rate and latency of all models and node:http, keep-alive and one connection per request',
  flags: [],

  select(known, wanted): Selection {
    const models = wanted ?? known.filter((model) => model.runs).map((model) => model.name)
    return { servers: [nodeHttpServer, ...models.map((model) => modelServer(model))], skipped: [] }
  },

  async measure(servers, request) {
    const scenarios = scenariosFor(request.connections)
    const report = summarise(request.environment, scenarios, await measure({ ...request, servers, scenarios }))
    const files = { 'report.json': `${JSON.stringify(report, undefined, 2)}\n`, 'report.md': renderMarkdown(report) }
    return { text: renderText(report), files, failures: report.failures }
  },
}
