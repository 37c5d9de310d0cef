/** What the option `scheduling` does, seen from outside: the policy under which the kernel has the threads of a server. */

import { expect, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { connect, connectMany } from '../support/client.js'
import { policiesOf } from '../support/proc.js'

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
  const policies = server.pids.flatMap(policiesOf).filter(({ comm }) => comm.startsWith('cs:'))
  expect(policies.length).toBeGreaterThan(0)
  for (const thread of policies) expect(thread).toMatchObject({ policy: BATCH })
})

test('so are the children that are forked for connections', async () => {
  const server = await startForTest('multi-process')
  const clients = await connectMany(2, server)
  for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
  // A child's first thread is what was forked; those of libuv, should a handler's work have them started, take after it.
  const children = server.pids.map(policiesOf).filter(([first]) => first?.comm === 'cs:conn')
  expect(children).toHaveLength(clients.length)
  for (const thread of children.flat()) expect(thread).toMatchObject({ policy: BATCH })
})

test.each(servers)('those of %s %o are not where they are to be normal', async (model, set) => {
  const server = await startForTest(model, { set: { ...set, scheduling: 'normal' } })
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
  const policies = server.pids.flatMap(policiesOf)
  expect(policies.length).toBeGreaterThan(0)
  for (const thread of policies) expect(thread).toMatchObject({ policy: NORMAL })
})
