import type { Server } from '@cs/core'
import { leaderFollower } from '@cs/patterns/leader-follower'
import { producerConsumer } from '@cs/patterns/producer-consumer'
import { expect, it, onTestFinished } from 'vitest'

const app = new URL('./fixtures/app.mjs', import.meta.url)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
}

it.each([
  ['leader-follower', 'thread', () => leaderFollower.serve({ app, threads: 2 })],
  ['producer-consumer', 'consumer', () => producerConsumer.serve({ app, consumers: 2 })],
])('%s serves on while its threads come and go', async (_, role, start: () => Promise<Server>) => {
  const server = await start()
  onTestFinished(() => server.close())
  const threads = (): number =>
    server.stats().units.filter((unit) => unit.role === role && unit.state === 'ready').length
  const served = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) expect(await (await fetch(`${server.url}/${i}`)).text()).toBe(`/${i}`)
  }
  await served()
  expect(server.grow()).toBe(3)
  await until(() => threads() === 3)
  await served()
  expect([server.shrink(), server.shrink(), server.shrink()]).toEqual([2, 1, 1])
  await until(() => threads() === 1)
  await served()
  expect(server.stats()).toMatchObject({ requests: 15, restarts: 0, lost: 0 })
})
