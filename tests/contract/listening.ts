/** Where a server listens. */

import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { expect, type TestContext } from 'vitest'
import { connect } from '../support/client.js'
import { failToStart } from '../support/server.js'
import { collect, scratch } from './case.js'

const { cases, it } = collect()

export { cases as listening }

it('takes a free port for port 0, and says which', async ({ server }) => {
  expect(server.line).toMatch(/^listening on http:\/\/127\.0\.0\.1:[1-9]\d* \([a-z0-9-]+, pid \d+\)$/)
  expect(server.line).toContain(`pid ${server.pid})`)
})

it('listens on IPv6', async ({ start }, context) => {
  needsIpv6(context)
  const server = await start({ args: ['--host', '::1'] })
  expect(server.url).toMatch(/^http:\/\/\[::1\]:\d+$/)
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
})

it('listens on every address, IPv6 and IPv4, for ::', async ({ start }, context) => {
  needsIpv6(context)
  const server = await start({ args: ['--host', '::'] })
  for (const host of ['::1', '127.0.0.1']) {
    const client = await connect({ address: { host, port: server.port } })
    expect((await client.ask('/hello', { headers: { connection: 'close' } })).status).toBe(200)
    client.destroy()
  }
})

it('listens on a Unix socket, whose file it removes', async ({ start }) => {
  const path = join(scratch(), 'socket')
  const server = await start({ args: ['--path', path] })
  expect(server.url).toBe(`unix:${path}`)
  const client = await connect(server)
  for (let i = 0; i < 3; i++) expect((await client.ask('/hello')).status).toBe(200)
  expect(await server.stop()).toBe(0)
  expect(existsSync(path)).toBe(false)
})

it('replaces the socket file of a server that was killed', async ({ start, model }) => {
  const path = join(scratch(), 'socket')
  const killed = await start({ args: ['--path', path] })
  await killed.crash()
  expect(existsSync(path)).toBe(true)
  const server = await start({ args: ['--path', path] })
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
  expect(server.line).toContain(model)
})

it('leaves a socket alone on which somebody listens', async ({ model }) => {
  const path = join(scratch(), 'socket')
  const somebody = createServer()
  await new Promise<void>((resolve) => somebody.listen(path, resolve))
  const { code, stderr } = await failToStart(model, { args: ['--path', path] })
  expect(existsSync(path)).toBe(true)
  await new Promise((resolve) => somebody.close(resolve))
  expect(code).toBe(1)
  expect(stderr).toMatch(/^cs: [^\n]*EADDRINUSE[^\n]*\n$/)
})

function needsIpv6(context: TestContext): void {
  const has = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))
  if (!has) context.skip('this machine has no IPv6')
}
