/** multi-process: a forked child for each connection. */

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { childrenOf, listenersOn, type Process, threadsOf } from '../support/proc.js'
import type { ServerOptions, TestServer } from '../support/server.js'
import { needsStrace, trace } from '../support/strace.js'

const start = (options: ServerOptions = {}): Promise<TestServer> =>
  startForTest('multi-process', { app: 'workers.mjs', ...options })

/** The process that accepts: the one child of the user's. */
function parentOf(server: TestServer): number {
  const children = childrenOf(server.pid)
  expect(children).toHaveLength(1)
  return children[0].pid
}

/** Its children, zombies included. */
function connectionsOf(server: TestServer): Process[] {
  return childrenOf(parentOf(server))
}

async function eventuallyChildren(server: TestServer, count: number): Promise<void> {
  await eventually(`there are ${count} children`, () => connectionsOf(server).length === count)
}

/** Milliseconds for which a process that is in poll(2) waits at most, -1 for ever; undefined where it is not in it. */
function pollTimeoutOf(pid: number): number | undefined {
  const timeout = /^7 0x\w+ 0x\w+ 0x\w*?(\w{1,8}) /.exec(readFileSync(`/proc/${pid}/syscall`, 'utf8'))?.[1]
  return timeout === undefined ? undefined : Number.parseInt(timeout, 16) | 0
}

/** Asks who serves, and keeps the connection. */
async function pidFor(client: Client): Promise<number> {
  return JSON.parse((await client.ask('/where')).body.toString()).pid
}

test('accepts in a process of its own, which forks a child for each live connection and waits in poll(2)', async () => {
  const server = await start()
  const clients = await connectMany(5, server)
  const pids = await Promise.all(clients.map(pidFor))
  expect(new Set(pids).size).toBe(5)
  const children = connectionsOf(server)
  expect(children.map(({ pid }) => pid).sort()).toEqual([...pids].sort())
  for (const pid of pids) expect(threadsOf(pid).find(({ tid }) => tid === pid)!.comm).toBe('cs:conn')
  const parent = parentOf(server)
  expect(threadsOf(parent).find(({ tid }) => tid === parent)!.comm).toBe('cs:parent')
  await eventually('it waits in poll', () => threadsOf(parent).find(({ tid }) => tid === parent)!.syscall === 'poll')
  expect(listenersOn(server.port)).toHaveLength(1)
  for (const client of clients) client.destroy()
  await eventuallyChildren(server, 0)
})

test('serves all requests of a connection in its child, and each connection in a fresh copy of the app', async () => {
  const server = await start()
  for (let i = 0; i < 3; i++) {
    const client = await connect(server)
    const pid = await pidFor(client)
    for (let n = 2; n < 5; n++)
      expect(JSON.parse((await client.ask('/where')).body.toString())).toEqual({ pid, served: n })
    expect(JSON.parse((await client.ask('/where-awaited')).body.toString())).toEqual({ pid, served: 5 })
    client.destroy()
  }
})

test('sleeps for as long as its children serve, and is woken by the end of each', async () => {
  const server = await start()
  const clients = await connectMany(3, server)
  for (const client of clients) await pidFor(client)
  const parent = parentOf(server)
  await eventually('it waits without a limit', () => pollTimeoutOf(parent) === -1)
  for (const [i, client] of clients.entries()) {
    client.destroy()
    await eventuallyChildren(server, 2 - i) // a zombie would count
  }
})

test('leaves no zombie, whether it is busy or idle', async () => {
  const server = await start()
  const clients = await connectMany(20, server)
  for (const client of clients) await pidFor(client)
  for (const client of clients) client.destroy()
  await eventuallyChildren(server, 0)
  const killed = await connect(server)
  process.kill(await pidFor(killed), 'SIGKILL')
  await eventuallyChildren(server, 0)
})

for (const [how, end] of [
  ['aborts', async (client: Client) => client.send(request('/abort'))],
  ['is killed', async (client: Client) => void process.kill(await pidFor(client), 'SIGKILL')],
] as const) {
  test(`loses one connection where a child ${how}, says so, and goes on`, async () => {
    const server = await start()
    const others = await connectMany(4, server)
    const before = await Promise.all(others.map(pidFor))
    const victim = await connect(server)
    await end(victim)
    await victim.closed()
    expect(victim.available === 0 || how === 'is killed').toBe(true)
    expect(await Promise.all(others.map(pidFor))).toEqual(before)
    await eventually('it is told', () =>
      /the child \d+ was killed by SIG(ABRT|KILL); 1 connections lost/.test(server.stderr),
    )
    expect(await pidFor(await connect(server))).toBeGreaterThan(0)
  })
}

test('has no more children than it may, and serves the next when one is done', async () => {
  const server = await start({ set: { children: 2 } })
  const gate = new Gate()
  const busy = await connectMany(2, server)
  for (const client of busy) client.send(request(`/waits?gate=${encodeURIComponent(gate.gate)}`))
  await eventuallyChildren(server, 2)
  const waiting = await connectMany(3, server)
  for (const client of waiting) client.send(request('/where', { headers: { connection: 'close' } }))
  expect(connectionsOf(server)).toHaveLength(2)
  expect(waiting.map(({ available }) => available)).toEqual([0, 0, 0])
  gate.open()
  for (const client of [...busy, ...waiting]) expect((await client.reply()).status).toBe(200)
})

test('lets idle clients go where others wait for a child', async () => {
  const server = await start({ set: { children: 2 } })
  const idle = await connectMany(2, server)
  for (const client of idle) await pidFor(client)
  expect(await pidFor(await connect(server))).toBeGreaterThan(0)
  expect(await idle[0].closed()).toBe('fin')
})

test('takes its children with it when it is killed, and is started again', async () => {
  const server = await start()
  const clients = await connectMany(3, server)
  for (const client of clients) await pidFor(client)
  const before = parentOf(server)
  process.kill(before, 'SIGKILL')
  for (const client of clients) await client.closed()
  await eventually('another is there', () => childrenOf(server.pid).some(({ pid }) => pid !== before))
  expect(await pidFor(await connect(server))).toBeGreaterThan(0)
  await eventually('it is told', () => server.stderr.includes('3 connections lost'))
})

test('forks once for each connection, and children receive, send and leave by exit_group(2)', async (context) => {
  needsStrace(context)
  const server = await start()
  const parent = parentOf(server)
  expect((await (await connect(server)).ask('/where', { headers: { connection: 'close' } })).status).toBe(200)
  await eventuallyChildren(server, 0) // by now it has warmed up, for which it plays clients of its own
  const calls = await trace(parent, ['accept4', 'clone', 'recvfrom', 'sendto', 'exit_group'])
  const children: number[] = []
  for (let i = 0; i < 10; i++) {
    const client = await connect(server)
    const reply = await client.ask('/where', { headers: { connection: 'close' } })
    children.push(JSON.parse(reply.body.toString()).pid)
    await client.closed()
  }
  await eventuallyChildren(server, 0)
  const seen = await calls.end()
  const by = (name: string): number[] => [...new Set(seen.filter((call) => call.name === name).map(({ tid }) => tid))]
  expect(by('accept4')).toEqual([parent])
  expect(by('clone')).toEqual([parent])
  expect(seen.filter(({ name }) => name === 'clone')).toHaveLength(10)
  for (const name of ['recvfrom', 'sendto', 'exit_group']) expect(by(name)).toEqual(expect.arrayContaining(children))
  expect(by('recvfrom')).not.toContain(parent)
  expect(readFileSync(`/proc/${parent}/comm`, 'utf8').trim()).toBe('cs:parent')
})

test('maps no memory between the advice that lets V8 be forked and the fork', async (context) => {
  needsStrace(context)
  const server = await start()
  const parent = parentOf(server)
  const calls = await trace(parent, ['madvise', 'mmap', 'mprotect', 'munmap', 'clone'])
  for (let i = 0; i < 10; i++) {
    const client = await connect(server)
    await pidFor(client)
    client.destroy()
  }
  const seen = (await calls.end()).filter(({ tid }) => tid === parent)
  const forks = seen.flatMap(({ name }, i) => (name === 'clone' ? [i] : []))
  expect(forks).toHaveLength(10)
  for (const i of forks) expect(seen[i - 1].text).toContain('MADV_DOFORK')
})
