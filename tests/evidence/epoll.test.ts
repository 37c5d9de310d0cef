/** epoll: one thread watches all its connections with epoll_wait(2) and serves those that are ready. */

import { expect, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { connect, connectMany } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { childrenOf, type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'
import { type Call, needsStrace, trace } from '../support/strace.js'

/** Turns of the loop in the second for which a handler awaits a timer: far fewer than one a millisecond. */
const FEW_TURNS = 300

const WAITS = ['epoll_wait', 'epoll_pwait', 'epoll_pwait2']

test('waits in epoll_wait on one thread, cs:loop, when it is idle', async () => {
  const server = await startForTest('epoll')
  await connectMany(8, server)
  await eventually('the loop waits', () => WAITS.includes(loopOf(server).syscall))
  expect(threadsOf(server.pid).filter(({ comm }) => comm.startsWith('cs:'))).toHaveLength(1)
  expect(childrenOf(server.pid)).toEqual([])
})

test('runs every handler on one thread', async () => {
  const server = await startForTest('epoll')
  const clients = await connectMany(32, server)
  const replies = await Promise.all(clients.map((client) => client.ask('/where')))
  expect(new Set(replies.map(({ body }) => body.toString())).size).toBe(1)
  expect(JSON.parse(replies[0].body.toString())).toMatchObject({ pid: server.pid, threadId: expect.any(Number) })
  expect(JSON.parse(replies[0].body.toString()).threadId).not.toBe(0)
})

test('reads from a connection only after epoll_wait has said that it is ready', async (context) => {
  needsStrace(context)
  const server = await startForTest('epoll')
  const loop = loopOf(server)
  const calls = await trace(server.pid, [...WAITS, 'accept4', 'recvfrom', 'sendto'])
  const clients = await connectMany(8, server)
  for (let round = 0; round < 5; round++) {
    const replies = await Promise.all(clients.map((client) => client.ask('/hello')))
    expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200))
  }
  const seen = await calls.end()
  const accepted = new Set(seen.filter(({ name }) => name === 'accept4').map(({ text }) => resultOf(text)))
  const reads = seen.filter(({ name, text }) => name === 'recvfrom' && accepted.has(firstArgument(text)))
  expect(reads.length).toBeGreaterThanOrEqual(40)
  expect(seen.filter(({ name, tid }) => name === 'accept4' && tid !== loop.tid)).toEqual([])
  expect(reads.filter(({ tid }) => tid !== loop.tid)).toEqual([])
  expect(unannounced(seen, accepted)).toEqual([])
})

test('watches every connection with epoll_ctl', async (context) => {
  needsStrace(context)
  const server = await startForTest('epoll')
  const { tid } = loopOf(server)
  const calls = await trace(server.pid, ['accept4', 'epoll_ctl'])
  for (const client of await connectMany(8, server)) expect((await client.ask('/hello')).status).toBe(200)
  const seen = (await calls.end()).filter((call) => call.tid === tid)
  const accepted = seen
    .filter(({ name, text }) => name === 'accept4' && resultOf(text) !== '')
    .map(({ text }) => resultOf(text))
  expect(accepted).toHaveLength(8)
  for (const fd of accepted) {
    expect(
      seen.some(({ text }) => new RegExp(`EPOLL_CTL_ADD, ${fd}, .*EPOLLIN`).test(text)),
      `descriptor ${fd}`,
    ).toBe(true)
  }
})

test('is idle while a handler awaits a timer', async (context) => {
  needsStrace(context)
  const server = await startForTest('epoll')
  const client = await connect(server)
  expect((await client.ask('/slow?ms=1')).status).toBe(200)
  const calls = await trace(server.pid, WAITS)
  expect((await client.ask('/slow?ms=1000')).status).toBe(200)
  const { tid } = loopOf(server)
  expect((await calls.end()).filter((call) => call.tid === tid).length).toBeLessThan(FEW_TURNS)
})

/** Reads of connections that no event before them announced, each event being used up by one read. */
function unannounced(calls: readonly Call[], connections: ReadonlySet<string>): string[] {
  const ready = new Set<string>()
  const wrong: string[] = []
  for (const { name, text } of calls) {
    if (name === 'accept4') ready.delete(resultOf(text))
    if (WAITS.includes(name)) for (const fd of readyIn(text)) ready.add(fd)
    if (name !== 'recvfrom' || !connections.has(firstArgument(text))) continue
    if (!ready.delete(firstArgument(text))) wrong.push(text)
  }
  return wrong
}

function readyIn(text: string): string[] {
  return [...text.matchAll(/events=(EPOLL[A-Z|]*), data=(?:\{u32=|0x)?([0-9a-f]+)/g)].map(([, , fd]) => fd)
}

function loopOf(server: TestServer): Thread {
  return threadsOf(server.pid).find(({ comm }) => comm === 'cs:loop')!
}

function resultOf(text: string): string {
  return / = (\d+)$/.exec(text)?.[1] ?? ''
}

function firstArgument(text: string): string {
  return /^\w+\((\d+)/.exec(text)?.[1] ?? ''
}
