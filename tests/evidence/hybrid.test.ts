/** hybrid: two models in one server, three combinations; each part shows what it shows alone. */

import { describe, expect, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { childrenOf, holdersOf, listenersOn, type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'
import { needsStrace, trace } from '../support/strace.js'
import { acceptedIn, firstArgument } from './watching.js'

const WAITS = ['epoll_wait', 'epoll_pwait']

describe('reactor+thread-pool', () => {
  const set = { combination: 'reactor+thread-pool', outer: 2, threads: 3 }

  test('waits in epoll_wait in every reactor and in futex in every worker when it is idle', async () => {
    const server = await startForTest('hybrid', { set })
    await connectMany(4, server)
    await atRest(server.pid, { 'cs:reactor': 2, 'cs:worker': 3 })
    expect(childrenOf(server.pid)).toEqual([])
  })

  test('accepts in both reactors, receives and sends in the workers alone, and arms at both epolls', async (context) => {
    needsStrace(context)
    const server = await startForTest('hybrid', { set })
    const calls = await trace(server.pid, ['accept4', 'recvfrom', 'sendto', 'epoll_ctl'])
    for (let round = 0; round < 10; round++) {
      const clients = await Promise.all(Array.from({ length: 8 }, () => connect(server)))
      for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
    }
    const seen = await calls.end()
    const accepted = acceptedIn(seen)
    const callersOf = (name: string): Set<string> => {
      const those = seen.filter((call) => call.name === name)
      const ours = name === 'accept4' ? those : those.filter(({ text }) => accepted.has(firstArgument(text)))
      const tids = new Set(ours.map(({ tid }) => tid))
      return new Set(rolesIn(server.pid).flatMap(({ tid, comm }) => (tids.has(tid) ? [comm.slice(0, -2)] : [])))
    }
    expect([...callersOf('accept4')]).toEqual(['cs:reactor'])
    expect([...callersOf('recvfrom')]).toEqual(['cs:worker'])
    expect([...callersOf('sendto')]).toEqual(['cs:worker'])
    const armed = seen.filter(({ name, text }) => name === 'epoll_ctl' && accepted.has(text.split(', ')[2]))
    for (const { text } of armed) expect(text).toContain('EPOLLONESHOT')
    expect(new Set(armed.map(({ text }) => firstArgument(text))).size).toBe(2)
  })
})

describe('processes+threads', () => {
  const set = { combination: 'processes+threads', outer: 2, threads: 2 }

  test('has a reactor, workers and a listening socket in every process', async () => {
    const server = await startForTest('hybrid', { set })
    const pids = processesOf(server)
    expect(pids).toHaveLength(2)
    for (const pid of pids) await atRest(pid, { 'cs:reactor': 1, 'cs:worker': 2 })
    const holders = listenersOn(server.port).map((socket) =>
      holdersOf(socket, server.pid).filter((pid) => pids.includes(pid)),
    )
    expect(holders.flat().sort((a, b) => a - b)).toEqual(pids)
    expect(holders.map((each) => each.length)).toEqual([1, 1])
  })

  test('serves in every process, and on several threads of it', async () => {
    const server = await startForTest('hybrid', { set })
    const clients = await connectMany(16, server)
    await eventually('every thread of every process has served', async () => {
      const replies = await Promise.all(clients.map((client) => client.ask('/hold?ms=20')))
      return new Set(replies.map(({ body }) => body.toString())).size === 4
    })
  })

  test('loses no process to a handler that ends its thread', async () => {
    const server = await startForTest('hybrid', { set })
    const before = processesOf(server)
    const victim = await connect(server)
    victim.send(request('/exit'))
    await victim.closed()
    for (const client of await connectMany(8, server)) expect((await client.ask('/hello')).status).toBe(200)
    expect(processesOf(server)).toEqual(before)
  })

  test('loses the clients of a process that is killed, not those of the other, and starts one in its place', async () => {
    const server = await startForTest('hybrid', { set })
    const clients = await connectMany(16, server)
    const [first] = processesOf(server)
    const owners: number[] = []
    for (const client of clients) owners.push(JSON.parse((await client.ask('/where')).body.toString()).pid)
    process.kill(first, 'SIGKILL')
    for (const [i, client] of clients.entries()) {
      if (owners[i] === first) await client.closed()
      else expect((await client.ask('/hello')).status).toBe(200)
    }
    await eventually('there are two processes again', () => processesOf(server).length === 2)
    expect(processesOf(server)).not.toContain(first)
  })
})

describe('epoll+coroutine', () => {
  const set = { combination: 'epoll+coroutine', outer: 2 }

  test('waits in epoll_wait in every loop, and has no other threads', async () => {
    const server = await startForTest('hybrid', { set })
    await connectMany(4, server)
    await atRest(server.pid, { 'cs:loop': 2 })
  })

  test('serves in every loop', async () => {
    const server = await startForTest('hybrid', { set })
    const clients = await connectMany(32, server)
    const replies = await Promise.all(clients.map((client) => client.ask('/where')))
    expect(new Set(replies.map(({ body }) => body.toString())).size).toBe(2)
  })

  test('has many handlers under way on one loop, each waiting in a coroutine of its own', async () => {
    const server = await startForTest('hybrid', { set: { ...set, outer: 1 } })
    const gate = new Gate()
    const clients = await connectMany(50, server)
    for (const client of clients) client.send(request(`/gate?${gate.query}`))
    await eventually('all handlers have begun', () => gate.begunCount === 50)
    expect(rolesIn(server.pid)).toHaveLength(1)
    gate.open()
    for (const client of clients) expect((await client.reply()).status).toBe(200)
  })
})

/** Waits until there are so many threads of each name, and no others, each blocked where its part waits. */
async function atRest(pid: number, counts: Readonly<Record<string, number>>): Promise<void> {
  await eventually('all are at rest', () => {
    const threads = rolesIn(pid)
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
    return (
      threads.length === total &&
      Object.entries(counts).every(([name, count]) => {
        const those = threads.filter(({ comm }) => comm.startsWith(name))
        const calls = name === 'cs:worker' ? ['futex'] : WAITS
        return those.length === count && those.every(({ syscall }) => calls.includes(syscall))
      })
    )
  })
}

/** The threads that have a role, without the main thread of a process, which supervises. */
function rolesIn(pid: number): Thread[] {
  return threadsOf(pid).filter(({ tid, comm }) => comm.startsWith('cs:') && tid !== pid)
}

function processesOf(server: TestServer): number[] {
  return childrenOf(server.pid)
    .filter(({ state }) => state !== 'Z')
    .map(({ pid }) => pid)
    .sort((a, b) => a - b)
}
