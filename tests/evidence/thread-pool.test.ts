/** thread-pool: one thread accepts, N threads serve, a bounded queue between. */

import { expect, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { childrenOf, type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'
import { needsStrace, trace } from '../support/strace.js'

test('waits in epoll_wait in the acceptor and in futex in as many workers as are asked for, when it is idle', async () => {
  const server = await startForTest('thread-pool', { set: { threads: 3 } })
  await eventually('acceptor and workers are at rest', () => {
    const { acceptor, workers } = rolesOf(server)
    return /^epoll_p?wait$/.test(acceptor.syscall) && workers.every(({ syscall }) => syscall === 'futex')
  })
  const { workers } = rolesOf(server)
  expect(workers.map(({ comm }) => comm).sort()).toEqual(['cs:worker 1', 'cs:worker 2', 'cs:worker 3'])
  expect(childrenOf(server.pid)).toEqual([])
})

test('serves on several threads at once: as many handlers run as there are threads', async () => {
  const server = await startForTest('thread-pool', { set: { threads: 3 } })
  const clients = await connectMany(3, server)
  await eventually('three threads have served', async () => {
    const replies = await Promise.all(clients.map((client) => client.ask('/hold?ms=100')))
    return new Set(replies.map(({ body }) => JSON.parse(body.toString()).threadId)).size === 3
  })
})

test('serves 64 keep-alive clients on 2 threads, without closing any', async () => {
  const server = await startForTest('thread-pool', { set: { threads: 2 } })
  const clients = await connectMany(64, server)
  const seen = new Set<number>()
  for (let round = 0; round < 10; round++) {
    const replies = await Promise.all(clients.map((client) => client.ask('/where')))
    for (const { headers, body } of replies) {
      expect(headers.connection).not.toBe('close')
      seen.add(JSON.parse(body.toString()).threadId)
    }
  }
  expect(seen.size).toBe(2)
  expect(rolesOf(server).workers).toHaveLength(2)
})

test('serves 1,000 keep-alive clients on 2 threads, without closing any', async () => {
  const server = await startForTest('thread-pool', { set: { threads: 2 } })
  const clients = await connectMany(1000, server)
  for (let round = 0; round < 3; round++) {
    const replies = await Promise.all(clients.map((client) => client.ask('/hello')))
    expect(replies.every(({ status, headers }) => status === 200 && headers.connection !== 'close')).toBe(true)
  }
  expect(rolesOf(server).workers).toHaveLength(2)
})

test('replaces a worker that its handler ends, and keeps the connections that it did not serve', async () => {
  const server = await startForTest('thread-pool', { set: { threads: 2 } })
  const others = await connectMany(8, server)
  for (const client of others) expect((await client.ask('/hello')).status).toBe(200)
  const before = tidsOf(rolesOf(server).workers)
  const victim = await connect(server)
  victim.send(request('/exit'))
  await victim.closed()
  await eventually('there are two workers again, one of them new', () => {
    const now = tidsOf(rolesOf(server).workers)
    return now.length === 2 && now.filter((tid) => before.includes(tid)).length === 1
  })
  for (const client of others) expect((await client.ask('/hello')).status).toBe(200)
})

test('accepts in the acceptor alone, receives and sends in the workers alone', async (context) => {
  needsStrace(context)
  const server = await startForTest('thread-pool', { set: { threads: 2 } })
  const { acceptor, workers } = rolesOf(server)
  const calls = await trace(server.pid, ['accept', 'accept4', 'recvfrom', 'sendto', 'futex'])
  for (let i = 0; i < 20; i++) {
    const client = await connect(server)
    for (let j = 0; j < 3; j++) expect((await client.ask('/hello')).status).toBe(200)
    client.destroy()
  }
  const seen = await calls.end()
  const connections = fdsOf(seen.filter(({ name, text }) => name === 'accept4' && / = \d+$/.test(text)))
  const callers = (name: string): number[] => [
    ...new Set(
      seen.filter((call) => call.name === name && connections.has(firstArgument(call.text))).map(({ tid }) => tid),
    ),
  ]
  expect([...new Set(seen.filter(({ name }) => name === 'accept4').map(({ tid }) => tid))]).toEqual([acceptor.tid])
  expect(callers('recvfrom').length).toBeGreaterThan(0)
  expect(tidsOf(workers)).toEqual(expect.arrayContaining(callers('recvfrom')))
  expect(tidsOf(workers)).toEqual(expect.arrayContaining(callers('sendto')))
  expect(seen.some(({ name, tid }) => name === 'futex' && tidsOf(workers).includes(tid))).toBe(true)
})

function rolesOf(server: TestServer): { acceptor: Thread; workers: Thread[] } {
  const threads = threadsOf(server.pid)
  return {
    acceptor: threads.find(({ comm }) => comm === 'cs:acceptor')!,
    workers: threads.filter(({ comm }) => comm.startsWith('cs:worker ')),
  }
}

function tidsOf(threads: readonly Thread[]): number[] {
  return threads.map(({ tid }) => tid)
}

function fdsOf(accepts: readonly { readonly text: string }[]): Set<string> {
  return new Set(accepts.map(({ text }) => / = (\d+)$/.exec(text)![1]))
}

function firstArgument(text: string): string {
  return /^\w+\((\d+)/.exec(text)?.[1] ?? ''
}
