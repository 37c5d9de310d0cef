/** select: one thread watches its connections with select(2), in sets that hold descriptors below FD_SETSIZE. */

import { expect, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { type Client, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { descriptorLimit } from '../support/proc.js'
import { needsStrace, trace } from '../support/strace.js'
import { loopOf, showsThatItWatches } from './watching.js'

const FD_SETSIZE = 1024
const MANY = 1100

/** Calls of the loop in a wait of half a second at its limit: some, since it looks whether a number is free again. */
const FEW_CALLS = 100

const waits = ['select', 'pselect6']

showsThatItWatches({
  model: 'select',
  waits,
  readyIn: (text) => / = \d+ \(in \[([\d ]+)\]/.exec(text)?.[1].split(' ') ?? [],
})

test('hands over the sets anew for each wait', async (context) => {
  needsStrace(context)
  const server = await startForTest('select')
  const { tid } = loopOf(server)
  const calls = await trace(server.pid, [...waits, 'accept4'])
  const clients = await connectMany(3, server)
  for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
  const seen = (await calls.end()).filter((call) => call.tid === tid)
  const accepted = seen.filter(({ name }) => name === 'accept4').map(({ text }) => / = (\d+)$/.exec(text)?.[1] ?? '')
  const last = seen.filter(({ name }) => waits.includes(name)).at(-1)!
  const [, read] = /^\w+\(\d+, \[([\d ]*)\]/.exec(last.text) ?? []
  expect(read.split(' ')).toEqual(expect.arrayContaining(accepted.filter(Boolean)))
})

test('stops accepting at FD_SETSIZE and says so once; who waits is served when others leave', async (context) => {
  context.skip(descriptorLimit() < MANY + 200, `the limit of descriptors is below ${MANY + 200}`)
  const server = await startForTest('select')
  const clients = await connectMany(MANY, server)
  const answered = new Set<Client>()
  for (const client of clients) {
    client.send(request('/hello'))
    void client.reply().then(
      () => answered.add(client),
      () => {},
    )
  }
  await eventually('all that have room are answered', () => answered.size > FD_SETSIZE - 100)
  expect(server.holdings.fds).toBeLessThanOrEqual(FD_SETSIZE + 1) // one is held until a lower number is free
  const unanswered = clients.filter((client) => !answered.has(client))
  for (const client of [...answered].slice(0, unanswered.length + 5)) client.destroy()
  await eventually('who waited is answered', () => unanswered.every((client) => answered.has(client)))
  const told = (): number => server.stderr.match(/select\(2\) watches no descriptor from 1024 on/g)?.length ?? 0
  await eventually('it is told', () => told() > 0)
  expect(told()).toBe(1)
})

test('does not spin at its limit', async (context) => {
  needsStrace(context)
  context.skip(descriptorLimit() < MANY + 200, `the limit of descriptors is below ${MANY + 200}`)
  const server = await startForTest('select')
  const clients = await connectMany(MANY, server)
  await eventually('the limit is reached', () => server.stderr.includes('watches no descriptor'))
  const { tid } = loopOf(server)
  const calls = await trace(server.pid, waits)
  expect((await clients[0].ask('/slow?ms=500')).status).toBe(200)
  expect((await calls.end()).filter((call) => call.tid === tid).length).toBeLessThan(FEW_CALLS)
})
