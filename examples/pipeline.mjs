/**
 * Which stage is the bottleneck: an app that computes, and what the stages of the pipeline say of themselves meanwhile.
 * Run it with node examples/pipeline.mjs
 */
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { serve } from '@cs/patterns/pipeline'

const app = join(tmpdir(), `pipeline-${process.pid}.mjs`)
const compute = '() => { for (const end = Date.now() + 100; Date.now() < end; ); return new Response() }'
writeFileSync(app, `export default { fetch: ${compute} }`)
const server = await serve({ app, handle: 1 }).finally(() => rmSync(app))

const requests = Array.from({ length: 20 }, () => fetch(server.url))
const seen = new Map()
for (let looks = 0; looks < 100; looks++) {
  await setTimeout(10)
  const stages = /** @type {[string, any][]} */ (Object.entries(server.stats().parts))
  for (const [name, { depth }] of stages) seen.set(name, (seen.get(name) ?? 0) + depth)
}
const [[name]] = [...seen].sort(([, a], [, b]) => b - a)
console.log(`most waits in front of ${name}`)
await Promise.all(requests)
await server.close()
