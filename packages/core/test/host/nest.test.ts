import { readdirSync, readFileSync } from 'node:fs'
import type { Server } from '@cs/core/model'
import { expect, it, onTestFinished } from 'vitest'
import { appOf, ask, isAlive, until } from './processes.js'

const { serve } = (await import(appOf('nested'))) as { serve(options: object): Promise<Server> }

async function start(options: object = {}): Promise<{ server: Server; port: number; log: string[] }> {
  const log: string[] = []
  const server = await serve({ app: appOf('app'), log: (line: string) => log.push(line), ...options })
  onTestFinished(async () => {
    server.force()
    await server.ended.catch(() => {})
  })
  return { server, port: (server.address as { port: number }).port, log }
}

/** The threads of a process that serve, by tid. */
function threadsOf(pid: number): string[] {
  const tids = readdirSync(`/proc/${pid}/task`)
  return tids.filter((tid) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').startsWith('cs:server'))
}

const pidsOf = (server: Server): number[] => server.stats().units.map(({ pid }) => pid)

it('runs threads in each process, is ready once they are, and counts what they do', async () => {
  const { server, port, log } = await start()
  const pids = pidsOf(server)
  expect(new Set(pids).size).toBe(2)
  for (const pid of pids) expect(threadsOf(pid)).toHaveLength(2)
  for (let i = 0; i < 20; i++) expect(await ask(port, '/a')).toContain('/a')
  await until(() => server.stats().requests === 20 && server.stats().active === 0)
  await server.close()
  expect(server.stats()).toMatchObject({ accepted: server.stats().closed, requests: 20, lost: 0, restarts: 0 })
  expect(pids.filter(isAlive)).toEqual([])
  expect(log).toEqual([])
})

it('starts a thread again that has died, in the same process, and counts what was lost', async () => {
  const { server, port } = await start({ processes: 1 })
  const [pid] = pidsOf(server)
  const before = threadsOf(pid)
  expect(await ask(port, '/exit')).toBe('')
  await until(() => {
    const now = threadsOf(pid)
    return now.length === 2 && now.filter((tid) => before.includes(tid)).length === 1
  })
  expect(await ask(port, '/b')).toContain('/b')
  await until(() => server.stats().lost === 1)
  expect([pidsOf(server), server.stats().restarts]).toEqual([[pid], 0])
  await server.close()
})

it('starts a process again that was killed, while the others go on accepting', async () => {
  const { server, port, log } = await start()
  const [first, second] = pidsOf(server)
  process.kill(first, 'SIGKILL')
  await until(() => !pidsOf(server).includes(first)) // until it is reaped a thread of it may still hold its socket
  for (let i = 0; i < 20; i++) expect(await ask(port, '/a')).toContain('/a')
  await until(() => server.stats().restarts === 1 && server.stats().units.every(({ state }) => state === 'ready'))
  expect(pidsOf(server)).toContain(second)
  expect(log).toEqual([expect.stringContaining('was killed by SIGKILL')])
  await server.close()
})

it('goes on listening when a process is taken away', async () => {
  const { server, port } = await start()
  expect(server.shrink()).toBe(1)
  for (let i = 0; i < 20; i++) expect(await ask(port, '/a')).toContain('/a')
  await until(() => server.stats().units.length === 1)
  for (let i = 0; i < 5; i++) expect(await ask(port, '/a')).toContain('/a')
  await server.close()
})

it.each([
  ['throws', 'broken at the top'],
  ['dies', 'the thread ended with code 7'],
])('fails as a whole where the threads do: %s', async (app, why) => {
  const failure = serve({ app: appOf(app), processes: 1, log: () => {} }).then((server) => server.ended)
  await expect(failure).rejects.toMatchObject({ code: 'ERR_CS_SERVER', message: expect.stringContaining(why) })
})
