/** actor: an actor accepts, one on each worker thread supervises, and each connection has one of its own. */

import { findModel } from '@cs/registry'
import { expect, onTestFinished, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'
import { type Call, needsStrace, trace } from '../support/strace.js'
import { acceptedIn, firstArgument } from './watching.js'

const WAITS = ['epoll_wait', 'epoll_pwait', 'epoll_pwait2']
const POISON = new URL('../apps/poison.mjs', import.meta.url)

test('waits in epoll_wait in the acceptor and in every worker when it is idle', async () => {
  const server = await startForTest('actor', { set: { workers: 3 } })
  await connectMany(6, server)
  await eventually('all wait', () => threadsOfRoles(server).every(({ syscall }) => WAITS.includes(syscall)))
  expect(threadsOfRoles(server).map(({ comm }) => comm)).toEqual([
    'cs:acceptor',
    'cs:worker 1',
    'cs:worker 2',
    'cs:worker 3',
  ])
})

test('gives connections to the worker that has the fewest, and a worker keeps those it has', async () => {
  const server = await startForTest('actor', { set: { workers: 2 } })
  const clients = await connectMany(8, server)
  const threads = await threadsServing(clients)
  expect([...countsOf(threads).values()]).toEqual([4, 4])
  expect(await threadsServing(clients)).toEqual(threads)
  for (const [index, client] of clients.entries()) if (threads[index] === threads[0]) client.destroy()
  await eventually('the worker without connections gets the next two', async () => {
    const next = await connectMany(2, server)
    const served = await threadsServing(next)
    for (const client of next) client.destroy()
    return served.every((thread) => thread === threads[0])
  })
})

test('an actor that fails takes its connection and no other, not even on its thread, and is counted', async () => {
  const server = await findModel('actor')!.serve({ app: POISON, workers: 1 })
  onTestFinished(() => server.close())
  const { hostname: host, port } = new URL(server.url)
  const there = { address: { host, port: Number(port) } }
  const others = await connectMany(8, there)
  const before = await threadsServing(others)
  for (let i = 0; i < 3; i++) {
    const victim = await connect(there)
    // The answer to the first request has been written by then, and must not go to whoever is next.
    victim.send(`${request('/where')}${request('/poison')}`)
    await victim.closed()
    expect(await threadsServing(others)).toEqual(before)
  }
  await eventually('the statistics say so', () => {
    const { actors, loads } = server.stats().parts as { actors: Record<string, number>; loads: number[] }
    return actors.failures === 3 && actors.restarts === 0 && loads.length === 1 && loads[0] === 8
  })
})

test('a worker that its handler ends is started again; the others keep their connections', async () => {
  const server = await startForTest('actor', { set: { workers: 2 } })
  const [victim, other] = await connectMany(2, server)
  expect((await other.ask('/hello')).status).toBe(200)
  victim.send(request('/exit'))
  await victim.closed()
  expect((await other.ask('/hello')).status).toBe(200)
  const next = await connectMany(4, server)
  expect(countsOf(await threadsServing(next)).size).toBe(2)
})

test('serves what was given to a worker while a handler blocks it, once it is free; others at once', async () => {
  const server = await startForTest('actor', { set: { workers: 2 } })
  const blocked = await connect(server)
  const gate = new Gate()
  blocked.send(request(`/block?${gate.query}`))
  await eventually('the handler blocks', () => gate.begunCount === 1)
  const answers = (await connectMany(6, server)).map((client) => client.ask('/hello'))
  expect((await Promise.race(answers)).status).toBe(200)
  gate.open()
  for (const answer of [blocked.reply(), ...answers]) expect((await answer).status).toBe(200)
})

test('accepts in the acceptor alone, receives and sends in the workers alone', async (context) => {
  needsStrace(context)
  const server = await startForTest('actor', { set: { workers: 2 } })
  const calls = await trace(server.pid, ['accept4', 'recvfrom', 'sendto'])
  await threadsServing(await connectMany(8, server))
  const seen = await calls.end()
  expect(callersOf(server, seen, 'accept4')).toEqual(['cs:acceptor'])
  expect(callersOf(server, seen, 'recvfrom')).toEqual(['cs:worker 1', 'cs:worker 2'])
  expect(callersOf(server, seen, 'sendto')).toEqual(['cs:worker 1', 'cs:worker 2'])
})

function threadsOfRoles(server: TestServer): Thread[] {
  return threadsOf(server.pid)
    .filter(({ comm }) => comm.startsWith('cs:'))
    .sort((a, b) => a.comm.localeCompare(b.comm))
}

/** Which thread serves each client now. */
async function threadsServing(clients: readonly Client[]): Promise<number[]> {
  const replies = await Promise.all(clients.map((client) => client.ask('/where')))
  return replies.map(({ body }) => JSON.parse(body.toString()).threadId)
}

function countsOf(threads: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const thread of threads) counts.set(thread, (counts.get(thread) ?? 0) + 1)
  return counts
}

/** The names of the threads that made a call for a connection; for accept4, at all. */
function callersOf(server: TestServer, calls: readonly Call[], name: string): string[] {
  const accepted = acceptedIn(calls)
  const tids = new Set(
    calls
      .filter((call) => call.name === name && (name === 'accept4' || accepted.has(firstArgument(call.text))))
      .map(({ tid }) => tid),
  )
  return threadsOfRoles(server).flatMap(({ tid, comm }) => (tids.has(tid) ? comm : []))
}
