/** poll: one thread watches all its connections with poll(2), a dense array handed over whole for each wait. */

import { expect, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { connectMany } from '../support/client.js'
import { descriptorLimit } from '../support/proc.js'
import { needsStrace, trace } from '../support/strace.js'
import { loopOf, showsThatItWatches } from './watching.js'

const MANY = 10_000

showsThatItWatches({
  model: 'poll',
  waits: ['poll', 'ppoll'],
  readyIn: (text) => [...text.matchAll(/fd=(\d+), revents=POLL/g)].map(([, fd]) => fd),
})

test('hands over an array that has an entry for each connection and grows and shrinks with them', async (context) => {
  needsStrace(context)
  const server = await startForTest('poll')
  const { tid } = loopOf(server)
  const calls = await trace(server.pid, ['poll', 'ppoll'])
  const first = await connectMany(2, server)
  for (const client of first) await client.ask('/hello')
  const more = await connectMany(5, server)
  for (const client of more) await client.ask('/hello')
  for (const client of more) client.destroy()
  await first[0].ask('/slow?ms=50')
  await first[0].ask('/hello')
  const sizes = (await calls.end())
    .filter((call) => call.tid === tid)
    .map(({ text }) => text.match(/\{fd=\d+, events/g)?.length ?? 0)
  const waits = sizes.filter((size) => size > 1) // looks at the listener alone are no waits of the loop
  expect(Math.max(...waits) - waits.at(-1)!).toBe(5)
})

test(`serves ${MANY} connections that are open at once`, async (context) => {
  context.skip(descriptorLimit() < MANY + 1000, `the limit of descriptors is below ${MANY + 1000}`)
  const server = await startForTest('poll')
  const clients = await connectMany(MANY, server)
  for (let start = 0; start < MANY; start += 500) {
    const replies = await Promise.all(clients.slice(start, start + 500).map((client) => client.ask('/hello')))
    expect(replies.every(({ status }) => status === 200)).toBe(true)
  }
  expect(server.holdings.fds).toBeGreaterThan(MANY)
  expect((await clients[MANY - 1].ask('/hello')).status).toBe(200)
})
