/** coroutine: one thread, and a coroutine for each connection, whose state says at which line of its code it waits. */

import type { Server } from '@cs/core'
import { findModel } from '@cs/registry'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { descriptorLimit, threadsOf } from '../support/proc.js'
import { showsThatItWatches } from './watching.js'

const MANY = 10_000

describe('on epoll', () => {
  showsThatItWatches({
    model: 'coroutine',
    waits: ['epoll_wait', 'epoll_pwait', 'epoll_pwait2'],
    readyIn: (text) =>
      [...text.matchAll(/events=(EPOLL[A-Z|]*), data=(?:\{u32=|0x)?([0-9a-f]+)/g)].map(([, , fd]) => fd),
  })
})

describe('on poll', () => {
  showsThatItWatches({
    model: 'coroutine',
    set: { demultiplexer: 'poll' },
    waits: ['poll', 'ppoll'],
    readyIn: (text) => [...text.matchAll(/fd=(\d+), revents=POLL/g)].map(([, fd]) => fd),
  })
})

test('the states of its coroutines are those of its clients', async () => {
  const server = await findModel('coroutine')!.serve({ app: new URL('../apps/app.mjs', import.meta.url) })
  onTestFinished(() => server.close())
  const at = { address: { port: Number(new URL(server.url).port), host: '127.0.0.1' } }
  const states = (expected: Partial<States>): Promise<unknown> =>
    eventually(`the states are ${JSON.stringify(expected)}`, () => {
      const { init, reading, processing, writing, done } = statesOf(server)
      const all = { init, reading, processing, writing, done }
      return JSON.stringify(all) === JSON.stringify({ ...NONE, ...expected })
    })

  const idle = await connectMany(7, at)
  const halfway = await connect(at)
  halfway.send('GET /hello HTTP/1.1\r\nho')
  await states({ reading: 8 })

  const gate = new Gate()
  const held = await connectMany(5, at)
  for (const client of held) client.send(request(`/gate?${gate.query}`))
  await states({ reading: 8, processing: 5 })

  const slow = await connectMany(3, at, { paused: true })
  for (const client of slow) client.send(request('/big'))
  await states({ reading: 8, processing: 5, writing: 3 })

  gate.open()
  for (const client of held) expect((await client.reply()).body.toString()).toBe('opened')
  await states({ reading: 13, writing: 3 })

  for (const client of slow) client.resume()
  for (const client of slow) expect((await client.reply()).body.length).toBe(10_000_000)
  await states({ reading: 16 })

  for (const client of [...idle, halfway, ...held] as Client[]) client.destroy()
  for (const client of slow) expect((await client.ask('/hello', { headers: { connection: 'close' } })).status).toBe(200)
  await states({ done: 16 })
})

test('a coroutine whose client leaves while its handler works is done', async () => {
  const server = await findModel('coroutine')!.serve({ app: new URL('../apps/app.mjs', import.meta.url) })
  onTestFinished(() => server.close())
  const at = { address: { port: Number(new URL(server.url).port), host: '127.0.0.1' } }
  const gate = new Gate()
  const client = await connect(at)
  client.send(request(`/gate?${gate.query}`))
  await eventually('it is processing', () => statesOf(server).processing === 1)
  client.reset()
  await eventually('it is done', () => statesOf(server).done === 1)
  expect(statesOf(server)).toEqual({ ...NONE, done: 1 })
})

test('its coroutines end with their thread, and the states tell it', async () => {
  const server = await findModel('coroutine')!.serve({
    app: new URL('../apps/app.mjs', import.meta.url),
    log: () => {},
  })
  onTestFinished(() => server.close())
  const at = { address: { port: Number(new URL(server.url).port), host: '127.0.0.1' } }
  const clients = await connectMany(4, at)
  for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
  clients[0].send(request('/exit'))
  for (const client of clients) await client.closed()
  const other = await connect(at)
  expect((await other.ask('/hello')).status).toBe(200)
  await eventually('only the new one is left', () => statesOf(server).reading === 1)
  expect(statesOf(server)).toEqual({ ...NONE, reading: 1, done: 4 })
})

test('a handler may be a generator, and wait as the coroutine does', async () => {
  const server = await startForTest('coroutine', { app: 'fibers.mjs' })
  const clients = await connectMany(100, server)
  const replies = await Promise.all(clients.map((client) => client.ask('/sleep?ms=20')))
  expect(replies.map(({ body }) => body.toString())).toEqual(Array(100).fill('slept'))
  expect((await clients[0].ask('/squares')).body.toString()).toBe('385')
})

test(`serves ${MANY} connections that are open at once, on one thread`, async (context) => {
  context.skip(descriptorLimit() < MANY + 1000, `the limit of descriptors is below ${MANY + 1000}`)
  const server = await startForTest('coroutine')
  const threads = threadsOf(server.pid).length
  const clients = await connectMany(MANY, server)
  for (let start = 0; start < MANY; start += 500) {
    const replies = await Promise.all(clients.slice(start, start + 500).map((client) => client.ask('/hello')))
    expect(replies.every(({ status }) => status === 200)).toBe(true)
  }
  expect(server.holdings.fds).toBeGreaterThan(MANY)
  expect(threadsOf(server.pid)).toHaveLength(threads)
})

interface States {
  readonly init: number
  readonly reading: number
  readonly processing: number
  readonly writing: number
  readonly done: number
}

const NONE: States = { init: 0, reading: 0, processing: 0, writing: 0, done: 0 }

function statesOf(server: Server): States {
  return server.stats().parts.coroutines as unknown as States
}
