/** producer-consumer: P threads accept, C threads serve, a bounded buffer between, and both sides block. */

import { expect, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'
import { needsStrace, trace } from '../support/strace.js'
import { acceptedIn, firstArgument } from './watching.js'

test('waits in accept in every producer, in epoll_wait in the attendant and in futex in every consumer', async () => {
  const server = await startForTest('producer-consumer', { set: { producers: 3, consumers: 2 } })
  await connectMany(4, server)
  await atRest(server)
  expect(namesOf(threadsIn(server, ''))).toEqual([
    'cs:attendant',
    'cs:consumer 1',
    'cs:consumer 2',
    'cs:producer 1',
    'cs:producer 2',
    'cs:producer 3',
  ])
})

test('blocks its producers while the buffer is full, leaves clients in the backlog, and drops nothing', async () => {
  const server = await startForTest('producer-consumer', { set: { producers: 2, consumers: 1, buffer: 1 } })
  const gate = new Gate()
  const first = await connect(server)
  first.send(request(`/block?${gate.query}`))
  await eventually('the consumer is blocked by its handler', () => gate.begunCount === 1)
  const others = await connectMany(20, server)
  for (const client of others) client.send(request('/hello'))
  await eventually('both producers wait for room', () =>
    threadsIn(server, 'producer').every(({ syscall }) => syscall === 'futex'),
  )
  gate.open()
  for (const client of [first, ...others]) expect((await client.reply()).status).toBe(200)
  await atRest(server)
})

test('accepts in every producer, and receives and sends in the consumers alone', async (context) => {
  needsStrace(context)
  const server = await startForTest('producer-consumer', { set: { producers: 2, consumers: 2 } })
  await atRest(server)
  const calls = await trace(server.pid, ['accept4', 'recvfrom', 'sendto'])
  const clients = await connectMany(30, server)
  for (const client of clients) client.send(request('/hold?ms=2'))
  for (const client of clients) expect((await client.reply()).status).toBe(200)
  const seen = await calls.end()
  const accepted = acceptedIn(seen)
  const callersOf = (name: string): string[] => {
    const those = seen.filter((call) => call.name === name)
    const ours = name === 'accept4' ? those : those.filter(({ text }) => accepted.has(firstArgument(text)))
    return namesOf(threadsIn(server, '').filter(({ tid }) => ours.some((call) => call.tid === tid)))
  }
  expect(callersOf('accept4')).toEqual(['cs:producer 1', 'cs:producer 2'])
  expect(callersOf('recvfrom')).toEqual(['cs:consumer 1', 'cs:consumer 2'])
  expect(callersOf('sendto')).toEqual(['cs:consumer 1', 'cs:consumer 2'])
})

test.each([64, 1000])('serves %i keep-alive clients on 2 consumers, without closing any', async (count) => {
  const server = await startForTest('producer-consumer', { set: { consumers: 2, buffer: 16 } })
  const clients = await connectMany(count, server)
  for (let round = 0; round < 3; round++) {
    const replies = await Promise.all(clients.map((client: Client) => client.ask('/hello')))
    expect(replies.every(({ status, headers }) => status === 200 && headers.connection !== 'close')).toBe(true)
  }
})

test('ends a client that says nothing, though no other comes that would wake the attendant', async () => {
  const server = await startForTest('producer-consumer', { set: { headTimeout: 300 } })
  await atRest(server)
  const silent = await connect(server)
  expect(await silent.closed()).toBe('fin')
  await atRest(server)
  const next = await connect(server)
  expect(await next.closed()).toBe('fin')
})

test('replaces a consumer that its handler ends, and keeps the connections that it did not serve', async () => {
  const server = await startForTest('producer-consumer', { set: { consumers: 2 } })
  const others = await connectMany(8, server)
  for (const client of others) expect((await client.ask('/hello')).status).toBe(200)
  const before = threadsIn(server, 'consumer').map(({ tid }) => tid)
  const victim = await connect(server)
  victim.send(request('/exit'))
  await victim.closed()
  await eventually('there are two consumers again, one of them new', () => {
    const now = threadsIn(server, 'consumer').map(({ tid }) => tid)
    return now.length === 2 && now.filter((tid) => before.includes(tid)).length === 1
  })
  for (const client of others) expect((await client.ask('/hello')).status).toBe(200)
})

/** Waits until every thread is blocked where its role waits. */
async function atRest(server: TestServer): Promise<void> {
  const waits = { producer: /^accept4?$/, attendant: /^epoll_p?wait$/, consumer: /^futex$/ }
  await eventually('all are at rest', () =>
    Object.entries(waits).every(([role, calls]) => {
      const threads = threadsIn(server, role)
      return threads.length > 0 && threads.every(({ syscall }) => calls.test(syscall))
    }),
  )
}

function threadsIn(server: TestServer, role: string): Thread[] {
  return threadsOf(server.pid).filter(({ comm }) => comm.startsWith(`cs:${role}`))
}

function namesOf(threads: readonly Thread[]): string[] {
  return threads.map(({ comm }) => comm).sort()
}
