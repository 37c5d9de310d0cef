import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Model, Server } from '@cs/core/model'
import { describe, expect, it, onTestFinished } from 'vitest'
import { appOf, ask, descriptorsAtRest, MODELS, until } from '../host/processes.js'

// biome-ignore lint/suspicious/noExplicitAny: each model has options of its own
type Any = Model<any>
const { threadPool } = (await import(MODELS['thread-pool'])) as { threadPool: Any }
const { multiThread } = (await import(MODELS['multi-thread'])) as { multiThread: Any }
const { epoll } = (await import(MODELS.epoll)) as { epoll: Any }

interface Parts {
  readonly queue: { depth: number; highWater: number; waitingMs: { average: number; max: number } }
  readonly threads: { count: number; busy: number; spare?: number; occupancy: { now: number; average: number } }
}

const portOf = (server: Server): number => (server.address as { port: number }).port
const partsOf = (server: Server): Parts => server.stats().parts as unknown as Parts

async function started(model: Any, options: object): Promise<Server> {
  const server = await model.serve({ app: appOf('blocks'), log: () => {}, ...options })
  onTestFinished(async () => {
    server.force()
    await server.ended.catch(() => {})
  })
  return server
}

let gates = 0

/** A request that holds its thread until the gate opens. */
function gated(): { readonly path: string; open(): void } {
  const file = join(tmpdir(), `cs-gate-${process.pid}-${gates++}`)
  onTestFinished(() => rmSync(file, { force: true }))
  return { path: `/block?until=${file}`, open: () => writeFileSync(file, '') }
}

describe('the statistics of parts', () => {
  it('are plain JSON, and empty for a model without parts', async () => {
    expect((await started(epoll, {})).stats().parts).toEqual({})
    for (const model of [threadPool, multiThread]) {
      const { parts } = (await started(model, {})).stats()
      expect(JSON.parse(JSON.stringify(parts))).toEqual(parts)
    }
  })

  it('tell how many wait, how long they waited, and how busy the threads are', async () => {
    const server = await started(threadPool, { threads: 1 })
    const gate = gated()
    const holding = Array.from({ length: 3 }, () => ask(portOf(server), gate.path))
    await until(() => partsOf(server).queue.depth === 2 && partsOf(server).threads.busy === 1)
    expect(partsOf(server).threads).toMatchObject({ count: 1, busy: 1, occupancy: { now: 1 } })
    gate.open()
    await Promise.all(holding)
    await until(() => partsOf(server).threads.busy === 0)
    const { queue, threads } = partsOf(server)
    expect(queue).toMatchObject({ depth: 0, capacity: 1024 })
    expect(queue.highWater).toBeGreaterThanOrEqual(2)
    expect(queue.waitingMs.max).toBeGreaterThan(0)
    expect(queue.waitingMs.average).toBeGreaterThan(0)
    expect(queue.waitingMs.average).toBeLessThanOrEqual(queue.waitingMs.max)
    expect(threads.occupancy.now).toBe(0)
    expect(threads.occupancy.average).toBeGreaterThan(0)
    expect(threads.occupancy.average).toBeLessThanOrEqual(1)
  })

  it('are there after the end, too', async () => {
    const server = await started(threadPool, { threads: 2 })
    await ask(portOf(server), '/')
    await server.close()
    expect(partsOf(server)).toMatchObject({ queue: { depth: 0, highWater: 1 }, threads: { count: 0, busy: 0 } })
  })
})

describe.each([
  ['thread-pool', threadPool, { threads: 2 }],
  ['multi-thread', multiThread, { spare: 2, threads: 4, spareTimeout: 0 }],
] as const)('%s', (_, model, options) => {
  const threadsOf = (server: Server) => server.stats().units.filter(({ role }) => role !== 'acceptor')

  it('grows and shrinks while it serves, down to one thread', async () => {
    const server = await started(model, options)
    expect([server.grow(), server.grow()]).toEqual([3, 4])
    await until(() => threadsOf(server).length === 4 && threadsOf(server).every(({ state }) => state === 'ready'))
    expect(new Set(threadsOf(server).map(({ name }) => name)).size).toBe(4)
    await until(() => partsOf(server).threads.count === 4)
    expect(await ask(portOf(server), '/')).toContain('/')
    expect([server.shrink(), server.shrink(), server.shrink(), server.shrink()]).toEqual([3, 2, 1, 1])
    await until(() => threadsOf(server).length === 1 && partsOf(server).threads.count === 1)
    expect(await ask(portOf(server), '/')).toContain('/')
    expect(server.stats()).toMatchObject({ requests: 2, restarts: 0 })
    await server.close()
  })

  it('replaces a thread that dies after others have come and gone', async () => {
    const server = await started(model, options)
    server.grow()
    await until(() => threadsOf(server).length === 3)
    server.shrink()
    await until(() => threadsOf(server).length === 2)
    await ask(portOf(server), '/exit')
    await until(() => server.stats().restarts === 1 && threadsOf(server).every(({ state }) => state === 'ready'))
    expect(new Set(threadsOf(server).map(({ name }) => name)).size).toBe(threadsOf(server).length)
    expect(await ask(portOf(server), '/')).toContain('/')
    await until(() => server.stats().active === 0)
    await server.close()
  })
})

it.each([
  ['epoll', epoll],
  ['thread-pool', threadPool],
  ['multi-thread', multiThread],
])('%s holds after its first connection what it held before', async (_, model) => {
  const server = await started(model, {})
  const before = await descriptorsAtRest()
  await ask(portOf(server), '/')
  await until(() => server.stats().active === 0)
  expect(await descriptorsAtRest()).toBe(before)
})

describe('a pool that shrinks while all its threads are at work', () => {
  it('lets each finish what it has', async () => {
    const server = await started(threadPool, { threads: 2 })
    const gate = gated()
    const blocking = [ask(portOf(server), gate.path), ask(portOf(server), gate.path)]
    await until(() => partsOf(server).threads.busy === 2)
    expect(server.shrink()).toBe(1)
    expect(partsOf(server).threads.count).toBe(2)
    gate.open()
    for (const reply of await Promise.all(blocking)) expect(reply).toContain('/block')
    await until(() => partsOf(server).threads.count === 1)
    expect(await ask(portOf(server), '/')).toContain('/')
  })
})
