/**
 * One app on the three combinations of hybrid: which threads each process has, and what the server says of itself. The app stands
 * here too: whoever handles requests imports this file. Run it with node examples/hybrid.mjs
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { serve } from '@cs/patterns/hybrid'

export default { fetch: () => new Response('Hello, World!') }

const self = new URL(import.meta.url)
if (isMainThread && process.argv[1] === fileURLToPath(self)) {
  await show('reactor+thread-pool')
  await show('processes+threads')
  await show('epoll+coroutine')
}

async function show(/** @type {import('@cs/patterns/hybrid').Combination} */ combination) {
  const server = await serve({ app: self, combination, outer: 2, threads: 2 })
  const text = await (await fetch(server.url)).text()
  const pids = [...new Set(server.stats().units.map(({ pid }) => pid))]
  console.log(`${combination}: ${text} from ${pids.map((pid) => `(${threadsOf(pid).join(', ')})`).join(' ')}`)
  console.log(`  ${JSON.stringify(server.stats().parts)}`)
  await server.close()
}

/** The names of the threads of a process that have a role. */
function threadsOf(/** @type {number} */ pid) {
  const names = readdirSync(`/proc/${pid}/task`).map((tid) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8'))
  return names.flatMap((name) => /^cs:(?:reactor|worker|loop).*/.exec(name) ?? []).sort()
}
