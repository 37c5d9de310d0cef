/** fiber: one thread, and a fiber for each connection, which may wait at any depth of its calls. */

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { contentOf, scratch, startForTest } from '../contract/case.js'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { descriptorLimit, threadsOf } from '../support/proc.js'
import { loopOf, showsThatItWatches } from './watching.js'

const MANY = 5000
const fibers = { app: 'fibers.mjs' }

showsThatItWatches({
  model: 'fiber',
  waits: ['epoll_wait', 'epoll_pwait', 'epoll_pwait2'],
  readyIn: (text) => [...text.matchAll(/events=(EPOLL[A-Z|]*), data=(?:\{u32=|0x)?([0-9a-f]+)/g)].map(([, , fd]) => fd),
})

test(`has one thread and as many fibers as connections, ${MANY} of them`, async (context) => {
  context.skip(descriptorLimit() < MANY + 1000, `the limit of descriptors is below ${MANY + 1000}`)
  const server = await startForTest('fiber', fibers)
  const asking = await connect(server)
  expect(await statistics(asking)).toMatchObject({ alive: 1 })
  const threads = threadsOf(server.pid).length
  const clients = await connectMany(MANY, server)
  expect(await statistics(asking)).toMatchObject({ alive: MANY + 1, suspended: MANY })
  expect(threadsOf(server.pid)).toHaveLength(threads)
  expect(threadsOf(server.pid).filter(({ comm }) => comm.startsWith('cs:'))).toHaveLength(1)
  for (const client of clients) client.destroy()
  await eventually('the fibers are gone', async () => (await statistics(asking)).alive === 1)
})

describe('a handler that is a generator', () => {
  test('waits at the bottom of 1,000 calls, while others are served', async () => {
    const server = await startForTest('fiber', fibers)
    const clients = await connectMany(20, server)
    const deep = clients.map((client) => client.ask('/nested?depth=1000'))
    expect((await (await connect(server)).ask('/hello')).body.toString()).toBe('Hello, World!')
    for (const reply of await Promise.all(deep)) expect(reply.body.toString()).toBe('1000')
  })

  test('holds no thread while it waits: 1,000 do at once', async () => {
    const server = await startForTest('fiber', fibers)
    const clients = await connectMany(1000, server)
    const asking = await connect(server)
    const sleeping = clients.map((client) => client.ask('/sleep?ms=2000'))
    await eventually('all have set their timers', async () => (await statistics(asking)).timers === 1000)
    for (const reply of await Promise.all(sleeping)) expect(reply.body.toString()).toBe('slept')
  })

  test('works together with fibers of its own, over channels', async () => {
    const server = await startForTest('fiber', fibers)
    const client = await connect(server)
    expect((await client.ask('/squares')).body.toString()).toBe('385')
    expect(await statistics(client)).toMatchObject({ alive: 1 })
  })

  test('reads a body that comes while it waits', async () => {
    const server = await startForTest('fiber', fibers)
    const client = await connect(server)
    const body = 'x'.repeat(200_000)
    client.send(request('/echo', { method: 'POST', headers: { 'content-length': String(body.length) } }))
    for (let at = 0; at < body.length; at += 50_000) await client.sendAll(body.slice(at, at + 50_000))
    expect((await client.reply()).body.length).toBe(body.length)
  })

  test('answers 500 where it throws, and its connection goes on', async () => {
    const server = await startForTest('fiber', fibers)
    const client = await connect(server)
    expect((await client.ask('/throw')).status).toBe(500)
    expect((await client.ask('/hello')).status).toBe(200)
    await eventually('it is logged', () => server.stderr.includes('thrown by the handler'))
  })

  test('is ended, finally blocks and all, when its client is gone', async () => {
    const server = await startForTest('fiber', fibers)
    const file = join(scratch(), 'log')
    const client = await connect(server)
    client.send(request(`/guarded?file=${encodeURIComponent(file)}`))
    await eventually('the handler waits', () => contentOf(file) === 'begun')
    client.reset()
    await eventually('it has been cleaned up', () => contentOf(file) === 'begun cleaned up')
    expect(await statistics(await connect(server))).toMatchObject({ alive: 1 })
  })
})

test('a fiber that panics is named in the log, and costs nobody anything', async () => {
  const server = await startForTest('fiber', fibers)
  const { tid } = loopOf(server)
  const client = await connect(server)
  expect((await client.ask('/panic')).body.toString()).toBe('spawned')
  await eventually('it is logged', () => server.stderr.includes("the fiber 'careless' panicked: thrown by a fiber"))
  expect((await client.ask('/hello')).status).toBe(200)
  expect(loopOf(server).tid).toBe(tid)
})

interface Counts {
  readonly alive: number
  readonly suspended: number
  readonly timers: number
}

async function statistics(client: Client): Promise<Counts> {
  return JSON.parse((await client.ask('/statistics')).body.toString())
}
