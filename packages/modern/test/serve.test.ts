import { readdirSync } from 'node:fs'
import { setTimeout as rest } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import type { Model } from '@cs/core'
import { handler, sleep } from '@cs/core/coroutine'
import { describe, expect, it } from 'vitest'
import { coroutine } from '../dist/coroutine.js'
import { fiber } from '../dist/fiber.js'

const descriptors = (): number => readdirSync('/proc/self/fd').length

// biome-ignore lint/suspicious/noExplicitAny: each has options of its own
const models: readonly Model<any>[] = [coroutine, fiber]

describe.each(models.map((model) => [model.name, model] as const))('%s', (_, model) => {
  it('serves a function on the calling thread, beside its timers and promises', async () => {
    const fetchOf = async (request: Request): Promise<Response> => {
      await rest(2)
      return Response.json([new URL(request.url).pathname, threadId])
    }
    const server = await model.serve({ fetch: fetchOf })
    expect(await (await fetch(`${server.url}/path`)).json()).toEqual(['/path', threadId])
    await server.close()
  })

  it('serves a generator', async () => {
    const fetchOf = handler(function* (request) {
      yield* sleep(2)
      return new Response(new URL(request.url).pathname)
    })
    const server = await model.serve({ fetch: fetchOf })
    expect(await (await fetch(`${server.url}/path`)).text()).toBe('/path')
    await server.close()
  })

  it('gives every descriptor back when it is closed', async (context) => {
    context.skip(process.platform !== 'linux', 'counts descriptors in /proc')
    const once = async (): Promise<number> => {
      const server = await model.serve({ fetch: () => new Response('ok', { headers: { connection: 'close' } }) })
      expect(await (await fetch(server.url)).text()).toBe('ok')
      await server.close()
      for (let i = 0; i < 5; i++) await rest(1)
      return descriptors()
    }
    await once()
    const before = await once()
    expect(await once()).toBeLessThanOrEqual(before)
  })
})

it('the fibers of a server are counted', async () => {
  const server = await fiber.serve({ fetch: () => new Response('ok') })
  expect(await (await fetch(server.url)).text()).toBe('ok')
  const { alive, peak, spawned } = server.stats().parts.fibers as Record<string, number>
  expect([alive, peak, spawned]).toEqual([1, 1, 1])
  await server.close()
  expect(server.stats().parts.fibers).toMatchObject({ alive: 0, blocked: 0, ready: 0, spawned: 1 })
})
