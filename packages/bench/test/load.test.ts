import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, type TestContext } from 'vitest'
import { findLoader, type LoadResult } from '../dist/load.js'

const CLIENTS = 4
const hasWrk = findLoader().name === 'wrk'

describe.each(['wrk', 'autocannon'])('the load of %s', (name) => {
  it('keeps its connections', async (context) => {
    skipWithoutWrk(name, context)
    const { result, requests, connections } = await loadOf(name, false)
    expect(result.errors).toBe(0)
    expect(result.requests).toBeGreaterThan(10 * CLIENTS)
    expect(requests - result.requests).toBeLessThanOrEqual(CLIENTS)
    expect(connections).toBeLessThanOrEqual(CLIENTS + 1) // wrk looks first whether anybody answers
  })

  it('opens a connection for each request', async (context) => {
    skipWithoutWrk(name, context)
    const { result, requests, connections } = await loadOf(name, true)
    expect(result.errors).toBe(0)
    expect(result.requests).toBeGreaterThan(10 * CLIENTS)
    expect(requests - result.requests).toBeLessThanOrEqual(CLIENTS)
    expect(Math.abs(connections - result.requests)).toBeLessThanOrEqual(CLIENTS + 1)
  })

  it('is broken off by the signal', async (context) => {
    skipWithoutWrk(name, context)
    const { port, close } = await listen()
    const load = { url: `http://127.0.0.1:${port}/`, connections: CLIENTS, seconds: 60, close: false }
    await expect(findLoader(name).run(load, AbortSignal.timeout(200))).rejects.toThrow()
    close()
  })
})

describe('the loader', () => {
  it('must be one of the two', () => {
    expect(() => findLoader('ab')).toThrow('no such load: ab')
  })
})

function skipWithoutWrk(name: string, context: TestContext): void {
  context.skip(name === 'wrk' && !hasWrk && !process.env.CI, 'wrk is not installed')
}

interface Counts {
  readonly result: LoadResult
  readonly requests: number
  readonly connections: number
}

async function loadOf(name: string, isClosing: boolean): Promise<Counts> {
  const { port, counts, close } = await listen()
  const load = { url: `http://127.0.0.1:${port}/`, connections: CLIENTS, seconds: 1, close: isClosing }
  const result = await findLoader(name).run(load, new AbortController().signal)
  close()
  return { result, ...counts }
}

async function listen(): Promise<{ port: number; counts: { requests: number; connections: number }; close(): void }> {
  const counts = { requests: 0, connections: 0 }
  const server = createServer((_request, response) => {
    counts.requests++
    response.end('Hello, World!')
  })
  server.on('connection', () => counts.connections++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const close = (): void => void server.close().closeAllConnections()
  return { port: (server.address() as AddressInfo).port, counts, close }
}
