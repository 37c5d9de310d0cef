/** process-pool2: N processes, each blocked in accept on a listening socket of its own. */

import { expect, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { Crowd, idleWorkers, mainThreadOf, whoServes, workersOf } from '../support/pool.js'
import { holdersOf, listenersOn, processOf } from '../support/proc.js'
import { failToStart, type ServerOptions, type TestServer } from '../support/server.js'

const start = (options: ServerOptions = {}): Promise<TestServer> =>
  startForTest('process-pool2', { app: 'workers.mjs', ...options })

test('has as many listening sockets on one port as processes, and each process has its own', async () => {
  const server = await start({ set: { processes: 3 } })
  const workers = await idleWorkers(server, 3)
  expect(workers.map((pid) => mainThreadOf(pid)!.comm).sort()).toEqual(['cs:worker 1', 'cs:worker 2', 'cs:worker 3'])
  const listeners = listenersOn(server.port)
  expect(listeners).toHaveLength(3)
  const holders = listeners.map((inode) => holdersOf(inode, server.pid).filter((pid) => pid !== server.pid))
  expect(holders.map((pids) => pids.length)).toEqual([1, 1, 1])
  expect(holders.flat().sort((a, b) => a - b)).toEqual(workers)
})

test('is refused a port on which another server listens, though that shares it among its own', async () => {
  const server = await start({ set: { processes: 2 } })
  const { code, stderr } = await failToStart('process-pool2', { port: server.port })
  expect([code, stderr]).toEqual([1, expect.stringContaining('EADDRINUSE')])
})

test('serves in all processes', async () => {
  const server = await start({ set: { processes: 3 } })
  const workers = await idleWorkers(server, 3)
  const seen = new Set<number>()
  await eventually('every process has served', async () => seen.add(await whoServes(server)).size === 3)
  expect([...seen].sort((a, b) => a - b)).toEqual(workers)
})

test('serves what waits at the socket of a process that is killed: its successor inherits it', async () => {
  const server = await start({ set: { processes: 2 } })
  const [victim] = await idleWorkers(server, 2)
  process.kill(victim, 'SIGSTOP')
  await eventually('it stands still', () => processOf(victim)?.state === 'T')
  const clients = await connectMany(16, server)
  for (const client of clients) await client.sendAll(request('/where', { headers: { connection: 'close' } }))
  process.kill(victim, 'SIGKILL')
  for (const client of clients) expect((await client.reply()).status).toBe(200)
})

test('replaces a process that is killed; while clients run, at most what it had in hand fails', async () => {
  const server = await start({ set: { processes: 2 } })
  const before = await idleWorkers(server, 2)
  const crowd = new Crowd(server, 8)
  await crowd.served(50)
  process.kill(before[0], 'SIGKILL')
  await eventually('there are two processes again', () => workersOf(server).length === 2)
  await crowd.served(100)
  await crowd.end()
  expect(crowd.failures.length).toBeLessThanOrEqual(1)
  const now = await idleWorkers(server, 2)
  expect(now).toContain(before[1])
  expect(now).not.toContain(before[0])
  await eventually('it is told', () => server.stderr.includes('was killed by SIGKILL'))
})

test('replaces a process after maxRequests, and refuses nothing meanwhile', async () => {
  const server = await start({ set: { processes: 2, maxRequests: 20, maxRequestsJitter: 10 } })
  const before = await idleWorkers(server, 2)
  const crowd = new Crowd(server, 8)
  await eventually('both processes are others', () => !workersOf(server).some((pid) => before.includes(pid)))
  await crowd.served(50)
  await crowd.end()
  expect(crowd.failures).toEqual([])
  await eventually('there are two processes', () => workersOf(server).length === 2)
  expect(server.stderr).toBe('')
})

test('has one process and socket more for each TTIN and one less for each TTOU, and loses no request over it', async () => {
  const server = await start({ set: { processes: 1 } })
  const crowd = new Crowd(server, 4)
  for (const [signal, count] of [
    ['SIGTTIN', 2],
    ['SIGTTIN', 3],
    ['SIGTTOU', 2],
    ['SIGTTOU', 1],
    ['SIGTTOU', 1],
  ] as const) {
    process.kill(server.pid, signal)
    await eventually(
      `${count} processes and sockets after ${signal}`,
      () => workersOf(server).length === count && listenersOn(server.port).length === count,
    )
    await crowd.served(10)
  }
  await crowd.end()
  expect(crowd.failures).toEqual([])
  await idleWorkers(server, 1)
})

test('serves what waits at the socket of a process that is taken away', async () => {
  const server = await start({ set: { processes: 2 } })
  const workers = await idleWorkers(server, 2)
  const gate = new Gate()
  const stuck: Client[] = []
  await eventually('both processes are busy', async () => {
    const client = await connect(server)
    client.send(request(`/waits?gate=${encodeURIComponent(gate.gate)}`, { headers: { connection: 'close' } }))
    stuck.push(client)
    return workers.every((pid) => !/accept/.test(mainThreadOf(pid)!.syscall))
  })
  const waiting = await connectMany(16, server)
  for (const client of waiting) await client.sendAll(request('/where', { headers: { connection: 'close' } }))
  process.kill(server.pid, 'SIGTTOU')
  gate.open()
  for (const client of [...stuck, ...waiting]) expect((await client.reply()).status).toBe(200)
  await idleWorkers(server, 1)
  expect(listenersOn(server.port)).toHaveLength(1)
})
