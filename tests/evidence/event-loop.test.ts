/** event-loop: one thread takes what happens from one queue and calls back; timers come from a heap. */

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { contentOf, scratch, startForTest } from '../contract/case.js'
import { connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { needsStrace, trace } from '../support/strace.js'
import { loopOf, type Mechanism, showsThatItWatches } from './watching.js'

const onEpoll: Mechanism = {
  model: 'event-loop',
  waits: ['epoll_wait', 'epoll_pwait', 'epoll_pwait2'],
  readyIn: (text) => [...text.matchAll(/events=(EPOLL[A-Z|]*), data=(?:\{u32=|0x)?([0-9a-f]+)/g)].map(([, , fd]) => fd),
}

describe('on epoll', () => {
  showsThatItWatches(onEpoll)
})

describe('on poll', () => {
  showsThatItWatches({
    model: 'event-loop',
    set: { demultiplexer: 'poll' },
    waits: ['poll', 'ppoll'],
    readyIn: (text) => [...text.matchAll(/fd=(\d+), revents=POLL/g)].map(([, fd]) => fd),
  })
})

test.each(['select', 'kqueue'])('serves on %s, and says so', async (demultiplexer) => {
  const server = await startForTest('event-loop', { set: { demultiplexer } })
  const clients = await connectMany(8, server)
  for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
  expect(server.stdout).toMatch(new RegExp(`^event-loop: ${demultiplexer}`, 'm'))
})

test.each(['pipe', 'socketpair'])('serves and stops with the wakeup %s', async (wakeup) => {
  const server = await startForTest('event-loop', { set: { wakeup } })
  const client = await connect(server)
  expect((await client.ask('/slow?ms=20')).status).toBe(200)
  expect(await server.stop()).toBe(0)
})

test('runs timers in the order in which they are due while it is under load', async () => {
  const file = join(scratch(), 'fired')
  const server = await startForTest('event-loop', { app: 'timers.mjs', env: { FIRED: file } })
  const clients = await connectMany(32, server)
  const busy = clients.map(async (client) => {
    while (contentOf(file).split('\n').length <= 50) expect((await client.ask('/')).status).toBe(200)
  })
  const client = await connect(server)
  expect((await client.ask('/timers')).status).toBe(200)
  await Promise.all(busy)
  const fired = contentOf(file).trim().split('\n').map(Number)
  expect(fired).toEqual([...fired].sort((a, b) => a - b))
  expect(fired).toHaveLength(50)
})

test('is started again where a timer of the app throws, and keeps no descriptor of the loop before', async () => {
  const server = await startForTest('event-loop', { app: 'timers.mjs' })
  const crash = async (): Promise<number> => {
    const { tid } = loopOf(server)
    const client = await connect(server)
    client.send(request('/throw'))
    await client.closed()
    await eventually('there is another loop, which waits', () => {
      const loop = loopOf(server)
      return loop !== undefined && loop.tid !== tid && onEpoll.waits.includes(loop.syscall)
    })
    expect((await (await connect(server)).ask('/')).status).toBe(200)
    return server.holdings.fds
  }
  await crash()
  const before = await crash()
  expect(await crash()).toBeLessThanOrEqual(before)
  await eventually('it is told', () => server.stderr.includes('thrown by a timer'))
})

test('names a request that blocks it longer than `slow`, for how long, and where in the code', async () => {
  const server = await startForTest('event-loop', { set: { slow: 50 } })
  const client = await connect(server)
  expect((await client.ask('/hello')).status).toBe(200)
  expect((await client.ask('/hold?ms=400')).status).toBe(200)
  const told = await eventually('it is told of', () =>
    /^GET \S+\/hold\?ms=400 blocked the loop for (\d+) ms, most often here:\n([\s\S]*)/m.exec(server.stderr),
  )
  expect(Number(told[1])).toBeGreaterThanOrEqual(399)
  expect(told[2].split('\n')[0]).toMatch(/^ {4}at \/hold \(file:\/\/.*\/tests\/apps\/app\.mjs:\d+:\d+\)$/)
})

test('names no request that awaits, however long', async () => {
  const server = await startForTest('event-loop', { set: { slow: 200 } })
  const client = await connect(server)
  expect((await client.ask('/slow?ms=500')).status).toBe(200)
  expect(server.stderr).not.toContain('/slow')
})

test('watches the loop with no signal unless it is asked to', async (context) => {
  needsStrace(context)
  const server = await startForTest('event-loop')
  const client = await connect(server)
  const calls = await trace(server.pid, ['tgkill', ...onEpoll.waits])
  expect((await client.ask('/slow?ms=500')).status).toBe(200)
  const { tid } = loopOf(server)
  const seen = await calls.end()
  expect(seen.filter(({ name }) => name === 'tgkill')).toEqual([])
  expect(seen.some((call) => call.tid === tid)).toBe(true)
})
