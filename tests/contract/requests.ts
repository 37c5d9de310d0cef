/** Requests and responses: what a well-behaved client sees. */

import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { connect, connectMany, type Reply, request } from '../support/client.js'
import { eventually, within } from '../support/deadline.js'
import { seededRandom } from '../support/random.js'
import { collect, contentOf, Gate } from './case.js'

const { cases, it } = collect()

export { cases as requests }

it('answers a plain GET', async ({ server }) => {
  const client = await connect(server)
  const reply = await client.ask('/hello')
  expect(reply).toMatchObject({ version: 'HTTP/1.1', status: 200, headers: { 'content-length': '13' } })
  expect(reply.body.toString()).toBe('Hello, World!')
  expect(Date.parse(reply.headers.date)).toBeGreaterThan(0)
})

it('gives the handler method, path, query, headers and body', async ({ server }) => {
  const client = await connect(server)
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    const headers = { 'x-one': 'a', 'X-Two': 'b c', cookie: 'k=v' }
    const reply = await client.ask('/echo?a=1&b=%20x', { method, headers, body: 'süß' })
    expect(JSON.parse(reply.body.toString())).toMatchObject({
      method,
      path: '/echo',
      query: '?a=1&b=%20x',
      headers: { host: 'test', 'x-one': 'a', 'x-two': 'b c', cookie: 'k=v', 'content-length': '5' },
      body: 'süß',
    })
  }
})

it('passes on the status that the handler gives', async ({ server }) => {
  const client = await connect(server)
  expect((await client.ask('/nowhere')).status).toBe(404)
  expect((await client.ask('/hello')).status).toBe(200)
})

for (const by of ['timer', 'file', 'immediate', 'tick', 'microtasks']) {
  it(`serves a handler that awaits: ${by}`, async ({ server }) => {
    const client = await connect(server)
    for (let i = 0; i < 5; i++) expect((await client.ask(`/async?by=${by}`)).body.toString()).toBe('awaited')
  })
}

it('serves a handler that awaits: fetch', async ({ server }) => {
  const upstream = createServer((_, response) => response.end('upstream'))
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => upstream.closeAllConnections())
  onTestFinished(() => void upstream.close())
  const url = encodeURIComponent(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}/`)
  const client = await connect(server)
  for (let i = 0; i < 5; i++) expect((await client.ask(`/async?by=fetch&url=${url}`)).body.toString()).toBe('awaited')
})

for (const [route, logged] of [
  ['/throw', 'thrown by the handler'],
  ['/reject', 'rejected by the handler'],
  ['/not-a-response', 'a string'],
]) {
  it(`answers 500, logs it and goes on, where a handler fails: ${route}`, async ({ server }) => {
    const client = await connect(server)
    const before = server.stderr.length
    const reply = await client.ask(route)
    expect(reply.status).toBe(500)
    expect(reply.body.toString()).not.toContain(logged)
    expect((await client.ask('/hello')).status).toBe(200)
    await eventually('the failure is logged', () => server.stderr.slice(before).includes(logged))
  })
}

it('cuts a response whose stream fails, so that it cannot be taken for whole', async ({ server }) => {
  const client = await connect(server)
  const reply = client.ask('/broken-stream')
  await expect(reply).rejects.toThrow('the connection ended')
})

it('lets 64 keep-alive clients at once all make progress', async ({ server }) => {
  const clients = await connectMany(64, server)
  const counts = await Promise.all(
    clients.map(async (first) => {
      let client = first
      let closing = false
      let crossed = false
      let served = 0
      /** A request may cross with the end of a connection that was quiet while others waited (RFC 9112 §9.3.1). */
      const again = async (error: unknown): Promise<Reply> => {
        if (served === 0 || crossed || client.available > 0) throw error
        crossed = true
        client = await connect(server)
        return client.ask('/hello')
      }
      for (; served < 50; served++) {
        if (closing) client = await connect(server)
        const { status, headers } = await client.ask('/hello').catch(again)
        expect(status).toBe(200)
        closing = headers.connection === 'close' // a model may serve its connections in turns
        if (closing) client.destroy()
      }
      client.destroy()
      return served
    }),
  )
  expect(counts).toEqual(Array(64).fill(50))
})

it('serves 1,000 connections one after the other', async ({ server }) => {
  for (let i = 0; i < 1000; i++) {
    const client = await connect(server)
    expect((await client.ask('/hello', { headers: { connection: 'close' } })).status).toBe(200)
    expect(await client.closed()).toBe('fin')
    client.destroy()
  }
})

it('answers 100 pipelined requests in order', async ({ server }) => {
  const client = await connect(server)
  const targets = Array.from({ length: 100 }, (_, i) => `/echo?i=${i}${i % 3 === 0 ? '&async' : ''}`)
  client.send(targets.map((target) => request(target)).join(''))
  for (const target of targets) {
    expect(JSON.parse((await client.reply()).body.toString()).query).toBe(target.slice('/echo'.length))
  }
})

it('keeps pipelined answers in order where an earlier one takes longer', async ({ server }) => {
  const client = await connect(server)
  client.send(request('/slow?ms=100') + request('/hello') + request('/async?by=timer') + request('/hello'))
  for (const expected of ['slow', 'Hello, World!', 'awaited', 'Hello, World!']) {
    expect((await client.reply()).body.toString()).toBe(expected)
  }
})

it('streams: the first chunk can be read before the last is produced', async ({ server }) => {
  const client = await connect(server)
  const gate = new Gate()
  client.send(request(`/stream?${gate.query}`))
  const head = (await client.readUntil('\r\n\r\n')).toString()
  expect(head).toMatch(/transfer-encoding: chunked/i)
  expect((await client.chunk()).toString()).toBe('first')
  gate.open()
  expect((await client.chunk()).toString()).toBe('last')
  expect((await client.chunk()).length).toBe(0)
  expect((await client.read(2)).toString()).toBe('\r\n')
  expect((await client.ask('/hello')).status).toBe(200)
})

it('sends 10 MB', async ({ server }) => {
  const client = await connect(server)
  const { body } = await client.ask('/big')
  expect(body.length).toBe(10_000_000)
  expect(hashOf(body)).toBe(hashOf(Buffer.alloc(10_000_000, '0123456789')))
})

it('takes a chunked upload with trailers', async ({ server }) => {
  const client = await connect(server)
  const headers = { 'transfer-encoding': 'chunked', trailer: 'x-sum' }
  client.send(request('/echo', { method: 'POST', headers }))
  client.send('5\r\nHello\r\n7;name=value\r\n, World\r\n')
  client.send('0\r\nx-sum: 1\r\n\r\n')
  expect(JSON.parse((await client.reply()).body.toString()).body).toBe('Hello, World')
  expect((await client.ask('/hello')).status).toBe(200)
})

it('goes on with a handler when the body comes for which it waits', async ({ server }) => {
  const client = await connect(server)
  const rounds = 20
  const work = async (): Promise<void> => {
    const gate = new Gate()
    for (let i = 1; i <= rounds; i++) {
      const headers = { expect: '100-continue', 'content-length': '100000' }
      client.send(request(`/wait-for-body?${gate.query}`, { method: 'POST', headers }))
      expect((await client.readUntil('\r\n\r\n')).toString()).toMatch(/^HTTP\/1\.1 100 /)
      await eventually('the handler runs', () => gate.begunCount === i)
      client.send('x'.repeat(100_000))
      expect((await client.reply()).body.length).toBe(100_000)
    }
  }
  await within(`${rounds} requests are answered, each when its body is there`, work())
})

it('goes on with a stream when its slow reader has made room', async ({ server }) => {
  const client = await connect(server)
  const work = async (): Promise<void> => {
    client.send(request('/long-stream'))
    await client.readUntil('\r\n\r\n')
    for (let i = 0; i < 256; i++) {
      if (i % 16 === 0) await client.rests(20) // so that the server fills what lies between, and waits for room
      expect((await client.chunk()).length).toBe(65_536)
    }
    expect((await client.chunk()).length).toBe(0)
  }
  await within('16 MB are read', work())
})

it('takes a 5 MB upload, by length and chunked', async ({ server }) => {
  const body = Buffer.alloc(5_000_000, 'abcdefghijklm')
  for (const framing of ['length', 'chunked']) {
    const client = await connect(server)
    const chunked = framing === 'chunked'
    const headers = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(body.length) }
    client.send(request('/digest', { method: 'POST', headers }))
    for (let at = 0; at < body.length; at += 100_000) {
      const part = body.subarray(at, at + 100_000)
      if (chunked) client.send(`${part.length.toString(16)}\r\n`)
      client.send(part)
      if (chunked) client.send('\r\n')
    }
    if (chunked) client.send('0\r\n\r\n')
    const reply = await client.reply()
    expect(JSON.parse(reply.body.toString())).toEqual({ length: body.length, sha256: hashOf(body) })
  }
})

it('answers where the handler ignores the body, and reads on behind it', async ({ server }) => {
  const client = await connect(server)
  client.send(request('/ignore', { method: 'POST', body: 'x'.repeat(1000) }) + request('/hello'))
  expect((await client.reply()).body.toString()).toBe('ignored')
  expect((await client.reply()).body.toString()).toBe('Hello, World!')
})

it('sends 100 (Continue) to a client that expects it, before the body', async ({ server }) => {
  const client = await connect(server)
  const headers = { expect: '100-continue', 'content-length': '5' }
  client.send(request('/echo', { method: 'POST', headers }))
  expect((await client.readUntil('\r\n\r\n')).toString()).toMatch(/^HTTP\/1\.1 100 /)
  client.send('12345')
  expect(JSON.parse((await client.reply()).body.toString()).body).toBe('12345')
})

it('answers HEAD with the fields of GET and no body', async ({ server }) => {
  const client = await connect(server)
  const reply = await client.ask('/hello', { method: 'HEAD' })
  expect(reply).toMatchObject({ status: 200, headers: { 'content-length': '13' } })
  expect((await client.ask('/hello')).body.toString()).toBe('Hello, World!')
})

it('closes after the response where the client asks for it', async ({ server }) => {
  const client = await connect(server)
  const reply = await client.ask('/hello', { headers: { connection: 'close' } })
  expect(reply.headers.connection).toBe('close')
  expect(await client.closed()).toBe('fin')
})

it('serves HTTP/1.0, closing unless keep-alive is asked for', async ({ server }) => {
  const closing = await connect(server)
  expect((await closing.ask('/hello', { version: 'HTTP/1.0' })).body.toString()).toBe('Hello, World!')
  expect(await closing.closed()).toBe('fin')
  const keeping = await connect(server)
  const headers = { connection: 'keep-alive' }
  const reply = await keeping.ask('/hello', { version: 'HTTP/1.0', headers })
  expect(reply.headers.connection).toBe('keep-alive')
  expect((await keeping.ask('/hello')).status).toBe(200)
})

it('streams to HTTP/1.0 without chunks, up to the close', async ({ server }) => {
  const client = await connect(server)
  const gate = new Gate()
  gate.open()
  const reply = await client.ask(`/stream?${gate.query}`, { version: 'HTTP/1.0' })
  expect(reply.headers['transfer-encoding']).toBeUndefined()
  expect(reply.body.toString()).toBe('firstlast')
})

it('answers a client that has closed its sending side', async ({ server }) => {
  for (const target of ['/hello', '/slow?ms=100', '/async?by=file', '/big']) {
    const client = await connect(server)
    await client.sendAll(request(target))
    client.halfClose()
    expect((await client.reply()).status).toBe(200)
    expect(await client.closed()).toBe('fin')
  }
})

it('understands a client that sends one byte at a time', async ({ server }) => {
  const client = await connect(server)
  const bytes = request('/echo?x', { method: 'POST', body: 'body' }) + request('/hello')
  for (const byte of bytes) await client.sendAll(byte)
  expect(JSON.parse((await client.reply()).body.toString())).toMatchObject({ query: '?x', body: 'body' })
  expect((await client.reply()).body.toString()).toBe('Hello, World!')
})

it('understands requests cut anywhere', async ({ server }) => {
  const random = seededRandom('requests cut anywhere')
  const client = await connect(server)
  const chunked = 'POST /echo?chunked HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
  const one = request('/echo?length', { method: 'POST', body: 'abc' }) + chunked + request('/hello')
  const bytes = one.repeat(20)
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + Math.floor(random() ** 2 * 200)
    await client.sendAll(bytes.slice(at, at + size))
    at += size
  }
  for (let i = 0; i < 20; i++) {
    expect(JSON.parse((await client.reply()).body.toString())).toMatchObject({ query: '?length', body: 'abc' })
    expect(JSON.parse((await client.reply()).body.toString())).toMatchObject({ query: '?chunked', body: 'abc' })
    expect((await client.reply()).body.toString()).toBe('Hello, World!')
  }
})

const MALFORMED: Readonly<Record<string, string>> = {
  'no request line': 'nonsense\r\n\r\n',
  'no version': 'GET /hello\r\nhost: a\r\n\r\n',
  'another version': 'GET /hello HTTP/2.0\r\nhost: a\r\n\r\n',
  'no host': 'GET /hello HTTP/1.1\r\n\r\n',
  'two hosts': 'GET /hello HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n',
  'a space before the colon': 'GET /hello HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n',
  'a control character in a value': 'GET /hello HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n',
  'a folded line': 'GET /hello HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n',
  'length and chunked':
    'POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'two lengths': 'POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc',
  'a length that is no number': 'POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc',
  'an unknown coding': 'POST /hello HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\nabc',
  'chunked not last': 'POST /hello HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n',
  'a bad chunk size': 'POST /digest HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n\r\n',
  'a target too long': `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
  'fields too long': `GET /hello HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`,
}

it('refuses what is malformed with 4xx or 5xx, closes, and answers nothing behind it', async ({ server }) => {
  for (const [what, bytes] of Object.entries(MALFORMED)) {
    const client = await connect(server)
    client.send(bytes + request('/hello'))
    const { status } = await client.reply().catch((error) => {
      throw new Error(`${what}: ${error.message}`)
    })
    expect([400, 414, 431, 501, 505], what).toContain(status)
    expect((await client.rest()).toString(), what).toBe('')
    client.destroy()
  }
})

it('tells a handler by request.signal that the client has gone', async ({ server }) => {
  for (const leave of ['destroy', 'reset'] as const) {
    const gate = new Gate()
    const client = await connect(server)
    client.send(request(`/abort?file=${encodeURIComponent(gate.begun)}`))
    await eventually('the handler runs', () => contentOf(gate.begun) === 'begun')
    client[leave]()
    await eventually(`the signal fires after ${leave}`, () => contentOf(gate.begun) === 'begun aborted')
  }
})

it('runs on what a handler leaves behind after its answer', async ({ server }) => {
  const gate = new Gate()
  const client = await connect(server)
  await client.ask(`/later?${gate.query}`)
  await eventually('the timer fires', () => contentOf(gate.begun) === 'begun')
})

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
