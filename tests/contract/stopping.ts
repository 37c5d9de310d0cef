/** The end of a server: drained, cut, forced. */

import { setTimeout } from 'node:timers/promises'
import { expect } from 'vitest'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually, within } from '../support/deadline.js'
import type { TestServer } from '../support/server.js'
import { collect, Gate } from './case.js'

const { cases, it } = collect()

export { cases as stopping }

/** A drain that would take this long fails its test. */
const NEVER = 600_000

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  it(`ends with code 0 on ${signal}`, async ({ start }) => {
    const server = await start()
    await (await connect(server)).ask('/hello')
    expect(await server.stop(signal)).toBe(0)
    expect(server.stderr).toBe('')
  })
}

it('ends with code 0 where it never served', async ({ start }) => {
  expect(await (await start()).stop()).toBe(0)
})

it('closes idle keep-alive connections when it drains', async ({ start }) => {
  const server = await start({ set: { drainTimeout: NEVER } })
  const idle = await connectMany(8, server)
  for (const client of idle) expect((await client.ask('/hello', {})).status).toBe(200)
  server.signal('SIGTERM')
  for (const client of idle) expect(await client.closed()).toBe('fin')
  expect(await server.finished()).toBe(0)
})

it('finishes the handler in flight when it drains', async ({ start }) => {
  const server = await start({ set: { drainTimeout: NEVER } })
  const gate = new Gate()
  const client = await connect(server)
  client.send(request(`/gate?${gate.query}`))
  await eventually('the handler runs', () => gate.begunCount === 1)
  server.signal('SIGTERM')
  gate.open()
  const reply = await client.reply()
  expect(reply.status).toBe(200)
  expect(reply.body.toString()).toBe('opened')
  expect(await client.closed()).toBe('fin')
  expect(await server.finished()).toBe(0)
  await expect(connect(server)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

it('listens no more while it waits for a handler in flight, whose answer says that it is the last', async ({
  start,
}) => {
  const server = await start({ set: { drainTimeout: NEVER } })
  const gate = new Gate()
  const client = await connect(server)
  client.send(request(`/gate?${gate.query}`))
  await eventually('the handler runs', () => gate.begunCount === 1)
  server.signal('SIGTERM')
  await eventually('nobody listens any more', () => !server.isListening)
  await expect(connect(server)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  gate.open()
  expect(await client.reply()).toMatchObject({ status: 200, headers: { connection: 'close' } })
  expect(await server.finished()).toBe(0)
})

it('serves what waits to be accepted before it ends', async ({ start }) => {
  const server = await start({ set: { drainTimeout: NEVER } })
  const gate = new Gate()
  const first = await connect(server)
  first.send(request(`/block?${gate.query}`))
  await eventually('the handler runs', () => gate.begunCount === 1)
  const others = await connectMany(8, server)
  for (const client of others) await client.sendAll(request('/hello'))
  server.signal('SIGTERM')
  gate.open()
  for (const client of [first, ...others]) expect((await client.reply()).status).toBe(200)
  expect(await server.finished()).toBe(0)
})

it('sends a large response to its end when it drains', async ({ start }) => {
  const server = await start({ set: { drainTimeout: NEVER } })
  const client = await connect(server)
  client.send(request('/big'))
  const begun = await client.readUntil('\r\n\r\n')
  client.pause()
  server.signal('SIGTERM')
  await seesTheDrain(server)
  client.resume()
  expect(begun.toString()).toContain('content-length: 10000000')
  expect((await client.rest()).length).toBe(10_000_000)
  expect(await server.finished()).toBe(0)
})

for (const [route, how] of [
  ['/gate', 'awaits'],
  ['/block', 'blocks its thread'],
]) {
  it(`cuts a stuck handler after drainTimeout: it ${how}`, async ({ start }) => {
    const server = await start({ set: { drainTimeout: 500 } })
    const gate = new Gate()
    const client = await connect(server)
    client.send(request(`${route}?${gate.query}`))
    await eventually('the handler runs', () => gate.begunCount === 1)
    expect(await server.stop()).toBe(0)
    await client.closed()
  })

  it(`is forced by a second SIGINT: the handler ${how}`, async ({ start }) => {
    const server = await start({ set: { drainTimeout: NEVER } })
    const gate = new Gate()
    const client = await connect(server)
    client.send(request(`${route}?${gate.query}`))
    await eventually('the handler runs', () => gate.begunCount === 1)
    server.signal('SIGINT')
    await seesTheDrain(server)
    await setTimeout(200) // one that follows at once is taken for the same: npm passes on what the terminal sends to all
    expect(await server.stop('SIGINT')).toBe(0)
    await client.closed()
  })
}

it('loses no accepted request when it stops under load', async ({ start }) => {
  for (const count of [8, 32]) {
    const server = await start({ set: { drainTimeout: NEVER } })
    const loads = (await connectMany(count, server)).map((client, i) => new Load(server, client, i % 4 === 0))
    const runs = loads.map((load) => load.run())
    await eventually('every client is being served', () => loads.every(({ served }) => served > 0))
    for (const load of loads) load.stopping()
    server.signal('SIGTERM')
    const ends = await within('every client sees the end', Promise.all(runs))
    expect(ends.filter((end) => end !== 'in order')).toEqual([])
    expect(await server.finished()).toBe(0)
  }
})

/** Waits until the drain shows; where a thread that is busy holds the listening socket, nothing does, for a moment then. */
async function seesTheDrain(server: TestServer): Promise<void> {
  await eventually('nobody listens any more', () => !server.isListening, 1000).catch(() => {})
}

/** A client that asks again and again until the server closes the connection or refuses one. */
class Load {
  served = 0
  readonly #server: TestServer
  #client: Client
  readonly #async: boolean
  #sentBeforeStop = true
  #stops = false

  constructor(server: TestServer, client: Client, isAsync: boolean) {
    this.#server = server
    this.#client = client
    this.#async = isAsync
  }

  /** Requests from now on may cross with the close of an idle connection; those before may not be lost. */
  stopping(): void {
    this.#stops = true
  }

  async run(): Promise<string> {
    for (;;) {
      this.#sentBeforeStop = !this.#stops
      this.#client.send(request(this.#async ? '/async?by=timer' : '/hello'))
      try {
        const { status, headers } = await this.#client.reply()
        if (status !== 200) return `status ${status}`
        this.served++
        if (headers.connection === 'close' && !(await this.#reconnects())) return 'in order'
      } catch (error) {
        if (this.#client.available > 0) return `a part of a response: ${(error as Error).message}`
        if (!this.#stops && this.served > 0 && (await this.#reconnects())) continue // RFC 9112 §9.3.1: it had been quiet
        return this.#sentBeforeStop ? `a lost request: ${(error as Error).message}` : 'in order'
      }
    }
  }

  async #reconnects(): Promise<boolean> {
    this.#client.destroy()
    try {
      this.#client = await connect(this.#server)
      return true
    } catch {
      return false
    }
  }
}
