/** Handlers that take down what runs them, and servers that cannot start. */

import { createServer } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { connect, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { failToStart, type Outcome, startServer } from '../support/server.js'
import { collect } from './case.js'

const { cases, it } = collect()

export { cases as failures }

for (const [route, how] of [
  ['/exit', 'calls process.exit'],
  ['/throw-later', 'throws outside of itself'],
]) {
  it(`loses only what ran beside it and goes on, where a handler ${how}`, async ({ start }) => {
    const server = await start()
    for (let i = 0; i < 3; i++) {
      const victim = await connect(server)
      await victim.sendAll(request(route))
      await victim.closed()
      expect(victim.available).toBe(0)
      const next = await connect(server)
      expect((await next.ask('/hello', { headers: { connection: 'close' } })).status).toBe(200)
    }
    await eventually('each death is logged', () => server.stderr.trim().split('\n').length >= 3)
    expect(await server.stop()).toBe(0)
  })
}

it('gives up where what it starts dies each time, with one last line that says so', async ({ model }) => {
  const server = await startServer(model, { app: 'exits-after-start.mjs' }).catch((error: Error) => error)
  if (server instanceof Error) return expect(server.message).toMatch(/code 1 .*\n+cs: .*died|code 1 .*\n+cs: .*ended/s)
  onTestFinished(() => server.finish())
  const { code, stderr } = await server.exit
  expect(code).toBe(1)
  expect(stderr.trim().split('\n').at(-1)).toMatch(/^cs: .*died \d+ times in a row/)
  await server.finished()
})

for (const [app, says] of [
  ['throws-at-import.mjs', 'thrown at import'],
  ['no-handler.mjs', 'no fetch handler'],
  ['does-not-exist.mjs', 'does-not-exist.mjs'],
]) {
  it(`says in one line why it does not start: ${app}`, async ({ model }) => {
    expectOneLine(await failToStart(model, { app }), says)
  })
}

it('says in one line why it does not start: an unknown option', async ({ model }) => {
  expectOneLine(await failToStart(model, { set: { nonsense: 1 } }), "'nonsense'")
})

it('says in one line why it does not start: a value out of range', async ({ model }) => {
  expectOneLine(await failToStart(model, { set: { drainTimeout: -1 } }), "'drainTimeout'")
})

it('says in one line why it does not start: a port in use', async ({ server, model }) => {
  expectOneLine(await failToStart(model, { port: server.port }), 'EADDRINUSE')
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
})

it('says in one line why it does not start: a port in use by a stranger', async ({ model }) => {
  const stranger = createServer()
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void stranger.close())
  const { port } = stranger.address() as { port: number }
  expectOneLine(await failToStart(model, { port }), `${port}`)
})

it('does not spin when it is out of descriptors, and serves again when there are some', async ({ start }) => {
  const server = await start({ ulimit: 96 })
  const crowd = await Promise.all(Array.from({ length: 150 }, () => connect(server)))
  await eventually(
    'the server has taken what it can',
    async () => {
      const before = server.cpuSeconds
      await new Promise((resolve) => setTimeout(resolve, 1000)) // the span over which CPU time is measured
      return server.cpuSeconds - before < 0.5
    },
    5000,
  )
  for (const client of crowd) client.destroy()
  for (let i = 0; i < 20; i++) {
    const client = await connect(server)
    expect((await client.ask('/hello', { headers: { connection: 'close' } })).status).toBe(200)
    client.destroy()
  }
})

function expectOneLine({ code, stdout, stderr }: Outcome, says: string): void {
  expect(stderr).toMatch(/^cs: [^\n]+\n$/)
  expect(stderr).toContain(says)
  expect(stdout).toBe('')
  expect(code).toBe(1)
}
