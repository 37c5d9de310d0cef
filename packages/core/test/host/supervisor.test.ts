import { ServerError } from '@cs/core/host'
import type { Server } from '@cs/core/model'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  appOf,
  ask,
  childrenOf,
  descriptors,
  descriptorsAtRest,
  isAlive,
  MODELS,
  program,
  programOf,
  until,
} from './processes.js'

type Name = keyof typeof MODELS
const NAMES = Object.keys(MODELS) as Name[]

async function start(
  name: Name,
  app: string,
  options: object = {},
): Promise<{ server: Server; port: number; log: string[] }> {
  const { serve } = (await import(MODELS[name])) as { serve(options: object): Promise<Server> }
  const log: string[] = []
  const server = await serve({ app: appOf(app), log: (line: string) => log.push(line), ...options })
  onTestFinished(async () => {
    server.force()
    await server.ended.catch(() => {})
  })
  return { server, port: (server.address as { port: number }).port, log }
}

describe.each(NAMES)('%s: a unit that dies', (name) => {
  it('is started again, and what it owned is closed and counted', async () => {
    const { server, port, log } = await start(name, 'app')
    expect(await ask(port, '/before')).toContain('/before')
    expect(await ask(port, '/exit')).toBe('')
    await until(() => server.stats().restarts === 1 && server.stats().units.every(({ state }) => state === 'ready'))
    expect(await ask(port, '/after')).toContain('/after')
    expect(log).toEqual([
      expect.stringMatching(/failed: .*ended with code 3; 1 connections lost; starting it again in 0 ms/),
    ])
    await until(() => server.stats().active === 0)
    await server.close()
    expect(server.stats()).toMatchObject({ active: 0, restarts: 1 })
  })
})

describe.each(NAMES)('%s: a unit that dies now and then', (name) => {
  it('leaves no descriptor behind', async () => {
    const { server, port } = await start(name, 'app')
    const crash = async (count: number) => {
      await ask(port, '/exit')
      await until(
        () => server.stats().restarts === count && server.stats().units.every(({ state }) => state === 'ready'),
      )
      expect(await ask(port, '/after')).toContain('/after')
    }
    await crash(1)
    const before = await descriptorsAtRest() // a thread is ready before it has opened all that it needs
    for (let count = 2; count <= 5; count++) await crash(count)
    await until(() => descriptors() <= before)
    await server.close()
  })
})

describe.each(NAMES)('%s: a unit that dies again and again', (name) => {
  it('ends the server with an error that says so', async () => {
    const { server, log } = await start(name, 'dies').catch((error: unknown) => {
      expect(error).toBeInstanceOf(ServerError) // it may die before all are ready
      return { server: undefined, log: [] }
    })
    if (server === undefined) return
    const error = await server.ended.catch((error: unknown) => error)
    expect(error).toMatchObject({
      code: 'ERR_CS_SERVER',
      message: expect.stringContaining('died 5 times in a row') as string,
    })
    expect(log.length).toBeGreaterThanOrEqual(4)
    expect(server.stats().units.every(({ state }) => state === 'ended')).toBe(true)
    await expect(server.close()).rejects.toBe(error)
    server.force() // does nothing, above all to descriptors that are another's by now
  })
})

describe.each(NAMES)('%s: a start that fails', (name) => {
  it('says why and leaves nothing', async () => {
    await start(name, 'nothing').catch(() => {}) // what is made once, is made
    const before = descriptors()
    const error = await start(name, 'nothing').catch((error: unknown) => error)
    expect(error).toBeInstanceOf(ServerError)
    expect((error as Error).message).toContain('has no fetch handler')
    await until(() => descriptors() <= before)
    expect(childrenOf(process.pid).filter(isAlive)).toEqual([])
  })
})

describe('force', () => {
  it("after the end closes nothing that is another's by now", async () => {
    const { server } = await start('epoll', 'app')
    await server.close()
    const before = descriptors()
    const again = await start('epoll', 'app')
    server.force()
    expect(await ask(again.port, '/alive')).toContain('/alive')
    await again.server.close()
    await until(() => descriptors() <= before)
  })
})

describe('while all units wait to be started again', () => {
  it('close ends the server at once, and nothing happens at its deadline', async () => {
    const source = `
      import { closeSync, fstatSync, openSync } from 'node:fs'
      const { serve } = await import('${MODELS['single-process']}')
      const server = await serve({ app: '${appOf('dies')}', drainTimeout: 50, log: () => {
        if (server.stats().restarts === 2) setTimeout(async () => {
          await server.close()
          const files = Array.from({ length: 10 }, () => openSync('/dev/null'))
          setTimeout(() => {
            files.forEach((fd) => fstatSync(fd))
            console.log(JSON.stringify('whole'))
          }, 200)
        })
      } })`
    const { line, ended } = program(source)
    expect(await line()).toBe('whole')
    expect(await ended).toMatchObject({ code: 0 })
  })
})

describe.each(NAMES)('%s: the process of the user', (name) => {
  const serving = (more: string) => `
    const { serve } = await import('${MODELS[name]}')
    const server = await serve({ app: '${appOf('app')}' })
    console.log(JSON.stringify([process.pid, server.address.port, server.stats().units.map((unit) => unit.pid)]))
    ${more}`

  it('exits by process.exit though units are blocked', async () => {
    const { ended, line } = program(serving(`setTimeout(() => process.exit(5), 50)`))
    const [pid, , pids] = (await line()) as [number, number, number[]]
    expect(await ended).toMatchObject({ code: 5 })
    await until(() => ![pid, ...pids].some(isAlive))
  })

  it('exits by process.exit though a request is being handled', async () => {
    const { ended, line } = program(
      serving(`setInterval(() => { if (server.stats().requests > 0) process.exit(6) }, 5)`),
    )
    const [pid, port, pids] = (await line()) as [number, number, number[]]
    void ask(port, '/hold')
    expect(await ended).toMatchObject({ code: 6 })
    await until(() => ![pid, ...pids].some(isAlive))
  })

  it('ends by an uncaught error', async () => {
    const { ended, line } = program(serving(`setTimeout(() => { throw new Error('uncaught here') }, 50)`))
    const [pid, , pids] = (await line()) as [number, number, number[]]
    const { code, errors } = await ended
    expect([code, errors]).toEqual([1, expect.stringContaining('uncaught here')])
    await until(() => ![pid, ...pids].some(isAlive))
  })

  it('killed by SIGKILL takes its units with it', async () => {
    const { child, ended, line } = program(serving(''))
    const [pid, , pids] = (await line()) as [number, number, number[]]
    child.kill('SIGKILL')
    expect(await ended).toMatchObject({ signal: 'SIGKILL' })
    await until(() => ![pid, ...pids].some(isAlive))
  })

  it('ends by itself when the server is closed', async () => {
    const { ended, line } = program(serving('await server.close()'))
    await line()
    expect(await ended).toMatchObject({ code: 0, errors: '' })
  })
})

describe.each(NAMES)('%s: a program given on the command line', (name) => {
  it.each([
    ['-e', ['--input-type=module', '-e']],
    ['--eval, with spaces', ['--input-type', 'module', '--no-warnings', '--eval']],
  ])('is not run again by the units: %s', async (_, flags) => {
    const source = `
      if (process.env.CS_AGAIN) process.exit(9)
      process.env.CS_AGAIN = 'yes'
      const { serve } = await import('${MODELS[name]}')
      const server = await serve({ app: '${appOf('app')}' })
      await server.close()
      console.log(JSON.stringify(server.stats().restarts))`
    const { ended, line } = programOf([...flags, source])
    expect(await line()).toBe(0)
    expect(await ended).toMatchObject({ code: 0, errors: '' })
  })
})

describe('a thread that blocks in accept(2)', () => {
  const model = new URL('./fixtures/accepting-thread.mjs', import.meta.url).href
  const serving = (more: string) => `
    const { acceptingThread } = await import('${model}')
    const server = await acceptingThread.serve({ app: '${appOf('app')}', drainTimeout: 3600000 })
    console.log(JSON.stringify(server.address.port))
    ${more}`

  it('ends when the server is closed', async () => {
    const { ended, line } = program(serving('await server.close()'))
    await line()
    expect(await ended).toMatchObject({ code: 0, errors: '' })
  })

  it('ends when the server is forced', async () => {
    const { ended, line } = program(serving('server.force(); await server.ended'))
    await line()
    expect(await ended).toMatchObject({ code: 0, errors: '' })
  })

  it('ends when the process exits', async () => {
    const { ended, line } = program(serving('setTimeout(() => process.exit(4), 50)'))
    await line()
    expect(await ended).toMatchObject({ code: 4 })
  })
})

describe('an app with timers of its own', () => {
  it.each(NAMES)('does not keep %s from closing', async (name) => {
    const { server, port } = await start(name, 'ticks', { drainTimeout: 3_600_000 })
    expect(await ask(port, '/')).toContain('ticks')
    await server.close()
  })
})
