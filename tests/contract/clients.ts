/** Clients that are slow, silent or gone: each harms itself alone. */

import { expect } from 'vitest'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import type { Holdings, TestServer } from '../support/server.js'
import { collect, contentOf, Gate } from './case.js'

const { cases, it } = collect()

export { cases as clients }

const MANY = 32
/** More than the buffers of two sockets take. */
const STALLING_BYTES = 8_000_000

it('closes a client that sends nothing, and answers 408 to one that had begun', async ({ hasty }) => {
  const server = await hasty()
  const silent = await connect(server)
  expect(await silent.closed()).toBe('fin')
  expect(silent.available).toBe(0)
  const begun = await connect(server)
  begun.send('GET /hello HTTP/1.1\r\nhost:')
  expect((await begun.reply()).status).toBe(408)
  await begun.closed()
})

it('does not let single bytes put off the end of headTimeout', async ({ hasty }) => {
  const client = await connect(await hasty())
  client.send('GET /hello HTTP/1.1\r\nx: ')
  await eventually('the slow client is closed', () => {
    if (client.end === undefined) client.send('y')
    return client.end !== undefined
  })
})

it('answers 408 to a client whose body stops coming', async ({ hasty }) => {
  const client = await connect(await hasty())
  client.send(request('/digest', { method: 'POST', headers: { 'content-length': '10' } }))
  client.send('12345')
  expect((await client.reply()).status).toBe(408)
  await client.closed()
})

it('closes a connection that is idle for idleTimeout', async ({ hasty }) => {
  const client = await connect(await hasty())
  expect((await client.ask('/hello')).status).toBe(200)
  expect(await client.closed()).toBe('fin')
  expect(client.available).toBe(0)
})

it('cuts a client that takes nothing of its response for writeTimeout', async ({ hasty }) => {
  const server = await hasty()
  const client = await connect(server)
  client.send(request('/big'))
  await client.readUntil('\r\n\r\n')
  client.pause()
  await eventually('the server has let go of the connection', () => !server.holds(client))
  client.resume()
  await expect(client.read(10_000_000)).rejects.toThrow('the connection ended')
})

it('counts no timeout against a handler that takes long', async ({ hasty }) => {
  const client = await connect(await hasty())
  expect((await client.ask('/slow?ms=1200')).body.toString()).toBe('slow')
})

it('serves others while a client reads 10 MB slowly', async ({ start }) => {
  const server = await start()
  const slow = await connect(server, { paused: true })
  slow.send(request('/big'))
  await expectServed(server, 20)
  slow.resume()
  expect((await slow.reply()).body.length).toBe(10_000_000)
})

it(`serves others while ${MANY} clients send slowly`, async ({ start }) => {
  const server = await start()
  const slow = await connectMany(MANY, server)
  const bytes = request('/echo', { method: 'POST', body: 'a body' })
  const inHead = slow.slice(0, MANY / 2)
  const inBody = slow.slice(MANY / 2)
  for (const client of inHead) await client.sendAll(bytes.slice(0, 20))
  for (const client of inBody) await client.sendAll(bytes.slice(0, -3))
  await expectServed(server, 20)
  for (const client of inHead) client.send(bytes.slice(20))
  for (const client of inBody) client.send(bytes.slice(-3))
  for (const client of slow) expect(JSON.parse((await client.reply()).body.toString()).body).toBe('a body')
})

it(`serves others while ${MANY} clients read slowly`, async ({ start }) => {
  const server = await start()
  const slow = await connectMany(MANY, server, { paused: true })
  for (const client of slow) client.send(request(`/big?bytes=${STALLING_BYTES}`))
  await expectServed(server, 20)
  for (const client of slow) {
    client.resume()
    expect((await client.reply()).body.length).toBe(STALLING_BYTES)
    client.destroy()
  }
})

const MIDS: Readonly<Record<string, (server: TestServer) => Promise<Client>>> = {
  'before its first byte': (server) => connect(server),
  'in the head': async (server) => {
    const client = await connect(server)
    await client.sendAll('GET /hello HTTP/1.1\r\nho')
    return client
  },
  'in the body': async (server) => {
    const client = await connect(server)
    await client.sendAll(request('/digest', { method: 'POST', headers: { 'content-length': '100' } }))
    await client.sendAll('not all of it')
    return client
  },
  'while its handler works': async (server) => {
    const client = await connect(server)
    await client.sendAll(request('/slow?ms=100'))
    return client
  },
  'in the response': async (server) => {
    const client = await connect(server, { paused: true })
    await client.sendAll(request('/big'))
    return client
  },
}

it('is not harmed by clients that vanish, and keeps nothing of them', async ({ start }) => {
  const server = await start()
  const before = await baseline(server)
  for (const leave of ['destroy', 'reset', 'halfClose'] as const) {
    for (const [where, begin] of Object.entries(MIDS)) {
      for (let i = 0; i < 5; i++) {
        const client = await begin(server)
        client[leave]()
        client.resume()
        if (leave === 'halfClose' && where === 'in the response') client.destroy()
      }
      await expectServed(server, 1)
    }
  }
  await expectNothingMore(server, before)
})

it('tells a stream by its cancellation that the client has gone', async ({ server }) => {
  const gate = new Gate()
  const client = await connect(server)
  client.send(request(`/endless?${gate.query}`))
  await client.readUntil('\r\n\r\n')
  await client.chunk()
  client.reset()
  await eventually('the stream is cancelled', () => contentOf(gate.begun) === 'cancelled')
})

it('keeps nothing of 1,000 connections', async ({ start }) => {
  const server = await start()
  const before = await baseline(server)
  await Promise.all(
    Array.from({ length: 4 }, async (_, lane) => {
      for (let i = 0; i < 250; i++) {
        const client = await connect(server)
        const headers: Record<string, string> = (i + lane) % 2 === 0 ? { connection: 'close' } : {}
        expect((await client.ask('/hello', { headers })).status).toBe(200)
        client.destroy()
      }
    }),
  )
  await expectNothingMore(server, before)
})

/** What the server holds after it has served a few connections, when what it makes once is made. */
async function baseline(server: TestServer): Promise<Holdings> {
  await expectServed(server, 20)
  let last = server.holdings
  await eventually('the server comes to rest', async () => {
    const { holdings } = server
    const same = JSON.stringify(holdings) === JSON.stringify(last)
    last = holdings
    return same
  })
  return last
}

async function expectNothingMore(server: TestServer, before: Holdings): Promise<void> {
  let now = before
  const isBack = (): boolean => {
    now = server.holdings
    return now.fds <= before.fds && now.threads <= before.threads && now.processes <= before.processes
  }
  await eventually('the server is back at what it held', isBack).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(before)} became ${JSON.stringify(now)}`)
  })
}

/** Serves as many new clients, two requests each. */
async function expectServed(server: TestServer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const client = await connect(server)
    expect((await client.ask('/hello')).status).toBe(200)
    expect((await client.ask('/async?by=timer', { headers: { connection: 'close' } })).status).toBe(200)
    await client.closed()
    client.destroy()
  }
}
