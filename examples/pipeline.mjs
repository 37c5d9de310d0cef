/**
 * Which stage is the bottleneck: an app that computes, and what the stages of the pipeline say of themselves meanwhile.
 * Run it with node examples/pipeline.mjs
 */
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { serve } from '@cs/patterns/pipeline'

const app = join(tmpdir(), `pipeline-${process.pid}.mjs`)
const compute = '() => { for (const end = Date.now() + 50; Date.now() < end; ); return new Response() }'
writeFileSync(
  app,
  `import { rmSync } from 'node:fs'; rmSync(${JSON.stringify(app)}, { force: true }); export default { fetch: ${compute} }`,
)

const server = await serve({ app, handle: 1 })
const requests = Array.from({ length: 20 }, () => fetch(server.url))
const deepest = () => {
  /** @type {[string, any][]} */
  const stages = Object.entries(server.stats().parts)
  return stages.reduce((a, b) => (b[1].depth > a[1].depth ? b : a))
}
while (deepest()[1].depth < 10) await setTimeout(1)
const [name, { threads, busy }] = deepest()
console.log(`the bottleneck is ${name}: ${busy} of ${threads} threads busy, 10 requests or more wait`)
await Promise.all(requests)
await server.close()
