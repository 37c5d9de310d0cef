/** What the options `scheduling` and `affinity` do, seen from outside: how, and where, the kernel runs the threads of a server. */

import { expect, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { connect, connectMany } from '../support/client.js'
import { type Scheduled, scheduledOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'

/** The numbers of sched(7). */
const NORMAL = 0
const BATCH = 3

const servers = [
  ['epoll', {}],
  ['reactor', { loops: 2 }],
  ['process-pool1', { processes: 2 }],
  ['hybrid', { combination: 'processes+threads', outer: 1, threads: 2 }],
] as const

test.each(servers)('the threads and processes of %s %o are scheduled as batch', async (model, set) => {
  const server = await startForTest(model, { set })
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
  const policies = server.pids.flatMap(scheduledOf).filter(({ comm }) => comm.startsWith('cs:'))
  expect(policies.length).toBeGreaterThan(0)
  for (const thread of policies) expect(thread).toMatchObject({ policy: BATCH })
})

test('so are the children that are forked for connections', async () => {
  const server = await startForTest('multi-process')
  const clients = await connectMany(2, server)
  for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
  // A child's first thread is what was forked; those of libuv, should a handler's work have them started, take after it.
  const children = server.pids.map(scheduledOf).filter(([first]) => first?.comm === 'cs:conn')
  expect(children).toHaveLength(clients.length)
  for (const thread of children.flat()) expect(thread).toMatchObject({ policy: BATCH })
})

test.each(servers)('those of %s %o are not where they are to be normal', async (model, set) => {
  const server = await startForTest(model, { set: { ...set, scheduling: 'normal' } })
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
  const policies = server.pids.flatMap(scheduledOf)
  expect(policies.length).toBeGreaterThan(0)
  for (const thread of policies) expect(thread).toMatchObject({ policy: NORMAL })
})

/** Three threads that run handlers and, where there are any, threads that only do I/O. */
const divided = [
  ['half-sync-async', { threads: 3 }, 'cs:sync', 'cs:async'],
  ['thread-pool', { threads: 3 }, 'cs:worker', 'cs:acceptor'],
  ['reactor', { workers: 3 }, 'cs:worker', 'cs:reactor'],
  ['work-stealing', { threads: 3 }, 'cs:worker', 'cs:acceptor'],
  ['process-pool1', { processes: 3 }, 'cs:worker', undefined],
] as const

test.each(divided)(
  'with affinity the first handlers of %s %o have a processor each',
  async (model, set, role, other) => {
    const server = await startForTest(model, { set: { ...set, affinity: 'handlers' } })
    expect((await (await connect(server)).ask('/hello')).status).toBe(200)
    const all = threadsOf(server)
    const anywhere = scheduledOf(server.pid)[0].processors // where the main thread of the host may run
    const handlers = all.filter(({ comm }) => comm.startsWith(role))
    expect(handlers).toHaveLength(3)
    const bound = handlers.slice(0, countOf(anywhere))
    for (const each of bound) expect(each.processors).toMatch(/^\d+$/)
    expect(new Set(bound.map(({ processors }) => processors)).size).toBe(bound.length)
    const others = all.filter((thread) => !bound.includes(thread))
    for (const each of others) expect(each).toMatchObject({ processors: anywhere }) // V8's and libuv's among them
    for (const each of handlers) expect(each).toMatchObject({ policy: BATCH })
    if (other === undefined) return
    const first = all.find(({ comm }) => comm.startsWith(other))!
    expect(first).toMatchObject({ policy: NORMAL })
    if (first.slice !== undefined) expect(first.slice).toBeLessThan(handlers[0].slice!)
  },
)

test('without affinity, all threads of a server run where there is room', async () => {
  const server = await startForTest('half-sync-async')
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
  expect(new Set(threadsOf(server).map(({ processors }) => processors)).size).toBe(1)
})

test('the children that a server forks for connections are bound to no processor', async () => {
  const server = await startForTest('multi-process', { set: { affinity: 'handlers' } })
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
  expect(new Set(threadsOf(server).map(({ processors }) => processors)).size).toBe(1)
})

/** The threads of all processes of a server, by their names: those of a role in the order of their numbers. */
function threadsOf(server: TestServer): Scheduled[] {
  return server.pids.flatMap(scheduledOf).sort((a, b) => a.comm.localeCompare(b.comm, 'en', { numeric: true }))
}

/** How many processors a list such as `0-3,7` has. */
function countOf(list: string): number {
  const ranges = list.split(',').map((range) => range.split('-').map(Number))
  return ranges.reduce((sum, [first, last = first]) => sum + last - first + 1, 0)
}
