/** process-pool1: N processes, all blocked in accept on one listening socket. */

import { expect, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { connect, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { Crowd, idleWorkers, mainThreadOf, whoServes, workersOf } from '../support/pool.js'
import { holdersOf, listenersOn } from '../support/proc.js'
import { failToStart, type ServerOptions, type TestServer } from '../support/server.js'

const start = (options: ServerOptions = {}): Promise<TestServer> =>
  startForTest('process-pool1', { app: 'workers.mjs', ...options })

test('has one listening socket, which all processes hold and wait on in accept(2)', async () => {
  const server = await start({ set: { processes: 3 } })
  const workers = await idleWorkers(server, 3)
  expect(workers.map((pid) => mainThreadOf(pid)!.comm).sort()).toEqual(['cs:worker 1', 'cs:worker 2', 'cs:worker 3'])
  const listeners = listenersOn(server.port)
  expect(listeners).toHaveLength(1)
  expect(holdersOf(listeners[0], server.pid)).toEqual(expect.arrayContaining(workers))
})

test('serves in all processes', async () => {
  const server = await start({ set: { processes: 3 } })
  const workers = await idleWorkers(server, 3)
  const seen = new Set<number>()
  await eventually('every process has served', async () => {
    const held = await Promise.all([0, 1, 2].map(() => connect(server)))
    for (const client of held) seen.add(JSON.parse((await client.ask('/where')).body.toString()).pid)
    for (const client of held) client.destroy()
    return seen.size === 3
  })
  expect([...seen].sort((a, b) => a - b)).toEqual(workers)
})

test('gives the next connection to a process that is idle, whichever is busy', async () => {
  const server = await start({ set: { processes: 2 } })
  const gate = new Gate()
  const busy = await connect(server)
  busy.send(request(`/stuck?gate=${encodeURIComponent(gate.gate)}`))
  for (let i = 0; i < 20; i++) expect(workersOf(server)).toContain(await whoServes(server))
  gate.open()
  expect((await busy.reply()).status).toBe(200)
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

test('has one process more for each TTIN and one less for each TTOU, and loses no request over it', async () => {
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
    await eventually(`${count} processes after ${signal}`, () => workersOf(server).length === count)
    await crowd.served(10)
  }
  await crowd.end()
  expect(crowd.failures).toEqual([])
  await idleWorkers(server, 1)
})

test('lets a process that is taken away finish its request', async () => {
  const server = await start({ set: { processes: 2 } })
  const gate = new Gate()
  const clients = await Promise.all([connect(server), connect(server)])
  for (const client of clients) client.send(request(`/waits?gate=${encodeURIComponent(gate.gate)}`))
  await eventually('both processes are busy', () =>
    workersOf(server).every((pid) => !/accept/.test(mainThreadOf(pid)!.syscall)),
  )
  process.kill(server.pid, 'SIGTTOU')
  gate.open()
  for (const client of clients) {
    expect((await client.reply()).body.toString()).toBe('opened')
    client.destroy()
  }
  await idleWorkers(server, 1)
})

test('kills and replaces a process that is stuck in a handler, but not one that waits or has nothing to do', async () => {
  const server = await start({ set: { processes: 2, heartbeat: 300 } })
  const before = await idleWorkers(server, 2)
  const gate = new Gate()
  const stuck = await connect(server)
  const waits = await connect(server)
  stuck.send(request(`/stuck?gate=${encodeURIComponent(gate.gate)}`))
  waits.send(request(`/waits?gate=${encodeURIComponent(gate.gate)}`))
  await stuck.closed()
  expect(stuck.available).toBe(0)
  await eventually('it is told', () => server.stderr.includes('no sign of life for 300 ms'))
  await eventually('it is replaced', () => workersOf(server).length === 2)
  expect(server.stderr.match(/no sign of life/g)).toHaveLength(1)
  gate.open()
  expect((await waits.reply()).body.toString()).toBe('opened')
  waits.destroy()
  expect((await idleWorkers(server, 2)).filter((pid) => before.includes(pid))).toHaveLength(1)
})

test('does not start, and tells what the process said, where it does not become ready in time', async () => {
  const { code, stderr } = await failToStart('process-pool1', { app: 'never-ready.mjs', set: { startTimeout: 1500 } })
  expect(code).toBe(1)
  const last = stderr.trim().split('\n').at(-1)
  expect(last).toMatch(/^cs: process-pool1: cs:worker \d .*not ready within 1500 ms; it said: waiting for a database/)
})
