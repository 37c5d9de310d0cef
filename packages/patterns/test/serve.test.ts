import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import { type Model, OptionError } from '@cs/core'
import { EventLoop } from '@cs/core/loop'
import { eventLoop } from '@cs/patterns/event-loop'
import { Reactor, reactor } from '@cs/patterns/reactor'
import { describe, expect, it } from 'vitest'

const descriptors = (): number => readdirSync('/proc/self/fd').length

// biome-ignore lint/suspicious/noExplicitAny: each has options of its own
const models: readonly [Model<any>, () => unknown][] = [
  [eventLoop, () => EventLoop.current],
  [reactor, () => Reactor.current],
]

describe.each(models.map(([model, current]) => [model.name, model, current] as const))('%s', (_, model, current) => {
  it('serves a function on the calling thread, beside its timers and promises', async () => {
    const fetchOf = async (request: Request): Promise<Response> => {
      await sleep(2)
      return Response.json([new URL(request.url).pathname, threadId, current() !== undefined])
    }
    const server = await model.serve({ fetch: fetchOf })
    expect(await (await fetch(`${server.url}/path`)).json()).toEqual(['/path', threadId, true])
    await server.close()
    expect(current()).toBeUndefined()
  })

  it('gives every descriptor back when it is closed', async (context) => {
    context.skip(process.platform !== 'linux', 'counts descriptors in /proc')
    const once = async (): Promise<number> => {
      const server = await model.serve({ fetch: () => new Response('ok', { headers: { connection: 'close' } }) })
      expect(await (await fetch(server.url)).text()).toBe('ok')
      await server.close()
      for (let i = 0; i < 5; i++) await sleep(1)
      return descriptors()
    }
    await once()
    const before = await once()
    expect(await once()).toBeLessThanOrEqual(before)
  })
})

it.each([
  ['loops', { loops: 2 }],
  ['workers', { workers: 1 }],
])('the reactor takes no function where it has %s', async (_, options) => {
  const served = reactor.serve({ fetch: () => new Response(), ...options })
  await expect(served).rejects.toThrow(OptionError)
  await expect(served).rejects.toThrow('pass `app`, the URL of a module')
  expect(reactor.takesFunction).toBe(true)
})
