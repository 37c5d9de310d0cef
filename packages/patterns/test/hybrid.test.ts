import { type HybridOptions, hybrid } from '@cs/patterns/hybrid'
import { expect, it, onTestFinished } from 'vitest'

const app = new URL('./fixtures/app.mjs', import.meta.url)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
}

const COMBINATIONS: readonly [HybridOptions['combination'], readonly string[], object][] = [
  [
    'reactor+thread-pool',
    ['reactor', 'worker'],
    { reactors: { count: 2 }, queue: { depth: 0 }, threads: { count: 3 } },
  ],
  ['processes+threads', ['process'], { processes: { count: 2 }, threads: { count: 6, ofEach: 3 } }],
  ['epoll+coroutine', ['loop'], { loops: { count: 2 }, coroutines: { spawned: 10 } }],
]

it.each(COMBINATIONS)('%s counts, and says what its parts do, like the others', async (combination, roles, parts) => {
  const server = await hybrid.serve({ app, combination, outer: 2, threads: 3 })
  onTestFinished(() => server.close())
  for (let i = 0; i < 10; i++) {
    const response = await fetch(`${server.url}/${i}`, { headers: { connection: 'close' } })
    expect(await response.text()).toBe(`/${i}`)
  }
  await until(() => server.stats().requests === 10 && server.stats().active === 0)
  const stats = server.stats()
  expect(stats).toMatchObject({ model: 'hybrid', mechanism: combination, accepted: 10, closed: 10, lost: 0, parts })
  expect([...new Set(stats.units.map(({ role }) => role))]).toEqual(roles)
})
