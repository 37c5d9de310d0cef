import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { mixedLoader, warmerBy } from '../dist/mixed-load.js'

let server: Server

async function serve(answer: (url: string) => number): Promise<{ url: string; paths: string[] }> {
  const paths: string[] = []
  server = createServer(({ url = '' }, response) => {
    paths.push(url)
    setTimeout(() => response.end('Hello'), answer(url))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, paths }
}

afterEach(() => {
  server.closeAllConnections()
  server.close()
})

const load = { connections: 4, seconds: 1, close: false }

describe('the mixed load', () => {
  it('asks for the expensive path with every tenth request, and tells of no error', async () => {
    const { url, paths } = await serve(() => 0)
    const { requests, errors } = await mixedLoader.run({ ...load, url }, AbortSignal.timeout(30_000))
    expect(errors).toBe(0)
    expect(requests).toBe(paths.length)
    expect(paths.filter((path) => path === '/burn')).toHaveLength(Math.floor(requests / 10))
  })

  it('tells the latency of the cheap ones alone', async () => {
    const { url } = await serve((path) => (path === '/burn' ? 300 : 0))
    const { p99Ms } = await mixedLoader.run({ ...load, connections: 64, url }, AbortSignal.timeout(30_000))
    expect(p99Ms).toBeLessThan(300)
  })

  it('counts a request from the moment when it was to be sent: what waits for a connection has waited', async () => {
    const { url } = await serve(() => 20)
    const { p99Ms } = await mixedLoader.run({ ...load, connections: 1, url }, AbortSignal.timeout(30_000))
    expect(p99Ms).toBeGreaterThan(40)
  })

  it('is preceded by another load and then by many more of its own requests, few of them expensive', async () => {
    const { url, paths } = await serve(() => 0)
    let first = -1
    const other: typeof mixedLoader = {
      name: 'wrk',
      run: async () => {
        first = paths.length
        return { requests: 0, errors: 0, seconds: 0, p50Ms: 0, p99Ms: 0 }
      },
    }
    const { requests } = await warmerBy(other).run({ ...load, url }, AbortSignal.timeout(30_000))
    expect(first).toBe(0)
    expect(requests).toBe(paths.length)
    expect(paths.filter((path) => path === '/burn')).toHaveLength(Math.floor(requests / 100))
  })

  it('ends when it is told to', async () => {
    const { url } = await serve(() => 0)
    await expect(mixedLoader.run({ ...load, seconds: 60, url }, AbortSignal.timeout(200))).rejects.toThrow()
  })
})
