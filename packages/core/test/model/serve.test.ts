import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { onThread } from '@cs/core'
import { defineModel, type Model, OptionError, type Server } from '@cs/core/model'
import { PosixError } from '@cs/core/posix'
import { describe, expect, it, onTestFinished } from 'vitest'
import { appOf, ask, descriptors, MODELS, until } from '../host/processes.js'

// biome-ignore lint/suspicious/noExplicitAny: each model has options of its own
type Any = Model<any>
const { epoll } = (await import(MODELS.epoll)) as { epoll: Any }
const { threadPool } = (await import(MODELS['thread-pool'])) as { threadPool: Any }
const { singleProcess } = (await import(MODELS['single-process'])) as { singleProcess: Any }
const ALL = [epoll, threadPool, singleProcess] as const

const multiplexing = (await import(new URL('index.js', MODELS.epoll).href)) as Record<string, Any>
/** The models that run on the calling thread, with the options that choose another mechanism. */
const ON_CALLER: readonly { name: string; model: Any; options: object }[] = [
  ...Object.values(multiplexing).map((model) => ({ name: model.name, model, options: {} })),
  { name: 'epoll, edge-triggered', model: epoll, options: { trigger: 'edge' } },
]

const portOf = (server: Server) => (server.address as { port: number }).port
const app = appOf('default-object')

async function started(model: Any, options: object): Promise<Server> {
  const server = await model.serve(options)
  onTestFinished(async () => {
    server.force()
    await server.ended.catch(() => {})
  })
  return server
}

async function failureOf(model: Any, options: object): Promise<Error> {
  const server = await model.serve(options).catch((error: Error) => error)
  if (server instanceof Error) return server
  await server.close()
  throw new Error('it should have failed')
}

describe('the arguments of serve', () => {
  it.each([
    ['neither app nor fetch', {}, /either `app` or `fetch`/],
    ['both', { app, fetch: () => new Response() }, /either `app` or `fetch`/],
    ['a fetch that is no function', { fetch: 'x' }, /option 'fetch' must be a function, not string/],
    ['an app that is no place', { app: 5 }, /option 'app' must be a URL or a path, not number/],
    [
      'a port out of range',
      { app, port: 65_536 },
      /option 'port' cannot be 65536: it takes a whole number from 0 to 65535/,
    ],
    ['a port that is no number', { app, port: 'http' }, /option 'port' cannot be http/],
    ['a host that is none', { app, host: 'no.such.host.invalid' }, /option 'host' cannot be 'no.such.host.invalid'/],
    ['an unknown option', { app, threds: 1 }, /epoll has no option 'threds'; it has: trigger, backlog, /],
    [
      'a value out of range',
      { app, backlog: 0 },
      /option 'backlog' cannot be 0: it takes a whole number from 1 to 65535/,
    ],
  ])('are refused: %s', async (_, options, message) => {
    const before = descriptors()
    const error = await failureOf(epoll, options)
    expect(error).toBeInstanceOf(OptionError)
    expect(error.message).toMatch(message)
    expect(descriptors()).toBe(before)
  })

  it.each([threadPool, singleProcess])(
    'are refused with the reason where a function cannot go: $name',
    async (model) => {
      const error = await failureOf(model, { fetch: () => new Response() })
      expect(error).toBeInstanceOf(OptionError)
      expect(error.message).toMatch(
        /runs handlers on threads or processes of its own, .*pass `app`, the URL of a module/,
      )
      expect(model.takesFunction).toBe(false)
    },
  )
})

describe.each(ALL)('$name: what cannot be started', (model) => {
  it('leaves no descriptor where the port is in use', async () => {
    await (await started(model, { app })).close() // what is made once, is made
    const other = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await until(() => other.listening)
    const before = descriptors()
    const error = await failureOf(model, { app, port: (other.address() as AddressInfo).port })
    expect(error).toBeInstanceOf(PosixError)
    expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', address: '127.0.0.1' })
    expect(descriptors()).toBe(before)
  })
})

describe('what cannot be made', () => {
  /** A model whose making fails after the listening socket is open. */
  const failing = (shared: () => unknown, disposed: unknown[] = []) =>
    defineModel<object, unknown>(import.meta, {
      name: `failing-${Math.random()}`,
      family: 'modern',
      summary: 'never runs',
      options: {},
      shared,
      dispose: (shared) => void disposed.push(shared),
      roles: { never: onThread({}, () => {}) },
    })

  it('leaves no descriptor where what the roles share fails', async () => {
    const before = descriptors()
    const error = await failureOf(
      failing(() => {
        throw new Error('no memory')
      }),
      { app },
    )
    expect(error.message).toBe('no memory')
    expect(descriptors()).toBe(before)
  })

  it('leaves no descriptor, and disposes, where what the roles share cannot travel', async () => {
    const before = descriptors()
    const disposed: unknown[] = []
    const shared = { at: () => {} }
    const error = await failureOf(
      failing(() => shared, disposed),
      { app },
    )
    expect(error).toBeInstanceOf(TypeError)
    expect(disposed).toEqual([shared])
    expect(descriptors()).toBe(before)
  })
})

describe.each(ON_CALLER)('a function on the calling thread: $name', ({ model, options }) => {
  it('is served while the timers and a server of the process go on', async () => {
    const server = await started(model, {
      ...options,
      fetch: async (request: Request) => {
        await sleep(5)
        return new Response(`it ${new URL(request.url).pathname}`)
      },
    })
    const own = createServer((_, response) => response.end('node:http')).listen(0, '127.0.0.1')
    onTestFinished(() => {
      own.closeAllConnections()
      own.close()
    })
    await until(() => own.listening)
    let ticks = 0
    const timer = setInterval(() => ticks++, 1)
    onTestFinished(() => clearInterval(timer))
    const answers = await Promise.all([
      ask(portOf(server), '/1'),
      fetch(`${server.url}/2`).then((response) => response.text()),
      ask((own.address() as AddressInfo).port, '/'),
    ])
    expect(answers.map((answer) => answer.slice(answer.lastIndexOf('\n') + 1))).toEqual([
      'it /1',
      'it /2',
      expect.stringContaining('node:http') as string,
    ])
    await until(() => ticks > 3)
    expect(server.stats().units).toMatchObject([{ role: 'loop', state: 'ready', pid: process.pid }])
  })

  it('gives every descriptor back when it is closed', async () => {
    const once = async () => {
      const server = await model.serve({ ...options, fetch: () => new Response('ok') })
      expect(await ask(portOf(server), '/')).toContain('ok')
      await server.close()
      await setImmediate()
      await setImmediate()
      return descriptors()
    }
    await once()
    const before = await once()
    for (let i = 0; i < 3; i++) await until(() => descriptors() <= before)
    expect(await once()).toBeLessThanOrEqual(before)
  })
})

describe('a server', () => {
  it('is closed by `await using`', async () => {
    const server = await epoll.serve({ fetch: () => new Response('ok') })
    await server[Symbol.asyncDispose]()
    await expect(server.ended).resolves.toBe(undefined)
    await server.close() // again
    expect(await ask(portOf(server), '/')).toBe('')
  })
})

describe.each(ALL)('$name: statistics', (model) => {
  it('tell what happened, and who did it', async () => {
    const server = await started(model, { app })
    const answers = [
      await ask(portOf(server), '/1'),
      await ask(portOf(server), '/2'),
      await ask(portOf(server), '/', 'Bad header\r\n'),
    ]
    await until(() => server.stats().active === 0)
    const { units, ...sum } = server.stats()
    expect(sum).toMatchObject({
      model: model.name,
      accepted: 3,
      closed: 3,
      requests: 2,
      errors: 1,
      restarts: 0,
      active: 0,
    })
    expect(sum.bytesOut).toBe(answers.join('').length)
    for (const unit of units) {
      expect(unit).toMatchObject({ state: 'ready', restarts: 0, name: expect.stringMatching(/^cs:/) as string })
      expect(existsSync(`/proc/${unit.pid}/task/${unit.tid}`)).toBe(true)
    }
    expect(units.reduce((requests, unit) => requests + unit.requests, 0)).toBe(2)
    await server.close()
    expect(server.stats().units.every(({ state }) => state === 'ended')).toBe(true)
  })
})

describe('where a server listens', () => {
  it('is told by its url', async () => {
    const v4 = await started(epoll, { fetch: () => new Response('ok') })
    expect(v4.url).toBe(`http://127.0.0.1:${portOf(v4)}`)
    const v6 = await started(epoll, { fetch: () => new Response('ok'), host: '[::1]' })
    expect(v6.url).toBe(`http://[::1]:${portOf(v6)}`)
    const named = await started(epoll, { fetch: () => new Response('ok'), host: 'localhost' })
    expect(named.url).toMatch(/^http:\/\/(127\.0\.0\.1|\[::1\]):\d+$/)
    const path = join(tmpdir(), `cs-serve-${process.pid}.sock`)
    const unix = await started(epoll, { fetch: () => new Response('ok'), path })
    expect([unix.url, existsSync(path)]).toEqual([`unix:${path}`, true])
    await unix.close()
    expect(existsSync(path)).toBe(false)
  })
})
