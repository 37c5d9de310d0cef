import type { Server } from '@cs/core/model'
import { describe, expect, it, onTestFinished } from 'vitest'
import { appOf, ask, MODELS, until } from './processes.js'

const POOLS = {
  'process-pool1': new URL('../../../process-models/dist/process-pool1.js', import.meta.url).href,
  'process-pool2': new URL('../../../process-models/dist/process-pool2.js', import.meta.url).href,
} as const

async function start(url: string, options: object): Promise<{ server: Server; port: number; log: string[] }> {
  const { serve } = (await import(url)) as { serve(options: object): Promise<Server> }
  const log: string[] = []
  const server = await serve({ app: appOf('app'), log: (line: string) => log.push(line), ...options })
  onTestFinished(async () => {
    server.force()
    await server.ended.catch(() => {})
  })
  return { server, port: (server.address as { port: number }).port, log }
}

describe.each(Object.entries(POOLS))('%s', (_, url) => {
  it('grows and shrinks, and its statistics keep what was done by those that left', async () => {
    const { server, port, log } = await start(url, { processes: 1 })
    expect(server.grow()).toBe(2)
    await until(() => server.stats().units.length === 2 && server.stats().units.every(({ state }) => state === 'ready'))
    for (let i = 0; i < 20; i++) expect(await ask(port, '/a')).toContain('/a')
    expect(server.shrink()).toBe(1)
    expect(server.shrink()).toBe(1)
    await until(() => server.stats().units.length === 1)
    for (let i = 0; i < 5; i++) expect(await ask(port, '/b')).toContain('/b')
    await until(() => server.stats().active === 0)
    expect(server.stats()).toMatchObject({ accepted: 25, closed: 25, requests: 25, lost: 0, restarts: 0 })
    await server.close()
    expect(log).toEqual([])
  })

  it('grows again while what was taken away still leaves', async () => {
    const { server, port } = await start(url, { processes: 2 })
    server.shrink()
    expect(server.grow()).toBe(2)
    for (let i = 0; i < 10; i++) expect(await ask(port, '/a')).toContain('/a')
    await until(() => server.stats().units.length === 2 && server.stats().units.every(({ state }) => state === 'ready'))
    for (let i = 0; i < 10; i++) expect(await ask(port, '/b')).toContain('/b')
    await server.close()
  })

  it('counts the connections that a process lost when it died', async () => {
    const { server, port } = await start(url, { processes: 1 })
    expect(await ask(port, '/exit')).toBe('')
    await until(() => server.stats().restarts === 1 && server.stats().units[0].state === 'ready')
    expect(server.stats()).toMatchObject({ lost: 1, active: 0 })
    await server.close()
  })
})

describe('a model without a pool', () => {
  it('says that it cannot be resized', async () => {
    const { server } = await start(MODELS.epoll, {})
    expect(() => server.grow()).toThrow('epoll has no units that can be added or taken away')
    expect(() => server.shrink()).toThrow(expect.objectContaining({ code: 'ERR_CS_SERVER' }))
    await server.close()
  })
})

describe('a thread that does not become ready', () => {
  it('is an error that tells what it said', async () => {
    const error = await start(MODELS.epoll, { app: appOf('never'), startTimeout: 500 }).catch((error: unknown) => error)
    expect((error as Error).message).toMatch(/not ready within 500 ms; it said: .*never comes to an end/)
  })
})
