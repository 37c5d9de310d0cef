/** proactor: operations are started, something else executes them, and their completions come back to one thread. */

import { findModel, models } from '@cs/registry'
import { describe, expect, onTestFinished, type TestContext, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { type Client, connectMany } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { childrenOf, connectionsOf, threadsOf } from '../support/proc.js'
import { runCs, type TestServer } from '../support/server.js'
import { type Call, needsStrace, trace } from '../support/strace.js'
import { firstArgument, loopOf, showsThatItWatches } from './watching.js'

const CLIENTS = 8
const ROUNDS = 5

const reads = ['recvfrom', 'recvmsg', 'read', 'readv', 'pread64']
const writes = ['sendto', 'sendmsg', 'write', 'writev', 'pwrite64']
const traced = [...reads, ...writes, 'accept', 'accept4', 'epoll_wait', 'epoll_pwait', 'epoll_ctl', 'io_uring_enter']

describe('by io_uring', () => {
  const set = { backend: 'io_uring' }

  test('waits in io_uring_enter on one thread, cs:loop, when it is idle', async (context) => {
    needsIoUring(context)
    const server = await startForTest('proactor', { set })
    await connectMany(CLIENTS, server)
    await eventually('the loop waits', () => loopOf(server).syscall === 'io_uring_enter')
    expect(threadsOf(server.pid).filter(({ comm }) => comm.startsWith('cs:'))).toHaveLength(1)
    expect(childrenOf(server.pid)).toEqual([])
  })

  test('makes no call on any connection, and takes none by a call: all goes through the ring', async (context) => {
    needsIoUring(context)
    const { server, calls, ofConnections } = await observe(context, set)
    const { tid } = loopOf(server)
    expect(ofConnections).toEqual([])
    expect(calls.filter(({ name }) => name.startsWith('accept'))).toEqual([])
    const enters = calls.filter(({ name }) => name === 'io_uring_enter')
    expect(enters.length).toBeGreaterThan(0)
    expect(enters.filter((call) => call.tid !== tid)).toEqual([])
  })

  test('closes by the ring too', async (context) => {
    needsIoUring(context)
    needsStrace(context)
    const server = await startForTest('proactor', { set })
    const clients = await connectMany(CLIENTS, server)
    await eventually('all are accepted', () => connectionsOf(server.pid, server.port).length === CLIENTS)
    const fds = new Set(connectionsOf(server.pid, server.port))
    const watched = await trace(server.pid, ['close'])
    for (const client of clients) {
      expect((await client.ask('/hello', { headers: { connection: 'close' } })).status).toBe(200)
      await client.closed()
    }
    await eventually('they are closed', () => connectionsOf(server.pid, server.port).length === 0)
    expect((await watched.end()).filter(({ text }) => fds.has(firstArgument(text)))).toEqual([])
  })
})

describe('by aio', () => {
  test("has threads of the C library's read and write, and never its own", async (context) => {
    const { server, calls, ofConnections } = await observe(context, { backend: 'aio' })
    const { tid } = loopOf(server)
    const others = ofConnections.filter((call) => call.tid !== tid)
    expect(others.filter(({ name }) => name === 'read').length).toBeGreaterThanOrEqual(CLIENTS * ROUNDS)
    expect(others.filter(({ name }) => name === 'write').length).toBeGreaterThanOrEqual(CLIENTS * ROUNDS)
    expect(ofConnections.filter((call) => call.tid === tid && call.name !== 'epoll_ctl')).toEqual([])
    const accepts = calls.filter(({ name }) => name === 'accept4')
    expect(new Set(accepts.map((call) => call.tid))).toEqual(new Set([tid])) // no operation of AIO
  })

  test('holds no thread for a client that is silent: more than the C library has threads are served', async () => {
    const server = await startForTest('proactor', { set: { backend: 'aio' } })
    await connectMany(64, server)
    const [client] = await connectMany(1, server)
    expect((await client!.ask('/hello')).status).toBe(200)
  })
})

describe('emulated', () => {
  showsThatItWatches({
    model: 'proactor',
    set: { backend: 'emulated' },
    waits: ['epoll_wait', 'epoll_pwait', 'epoll_pwait2'],
    readyIn: (text) =>
      [...text.matchAll(/events=(EPOLL[A-Z|]*), data=(?:\{u32=|0x)?([0-9a-f]+)/g)].map(([, , fd]) => fd),
  })

  test('receives and sends on the thread that waits', async (context) => {
    const { server, ofConnections } = await observe(context, { backend: 'emulated' })
    const { tid } = loopOf(server)
    expect(ofConnections.filter(({ name }) => name === 'recvfrom').length).toBeGreaterThanOrEqual(CLIENTS * ROUNDS)
    expect(ofConnections.filter(({ name }) => name === 'sendto').length).toBeGreaterThanOrEqual(CLIENTS * ROUNDS)
    expect(ofConnections.filter((call) => call.tid !== tid)).toEqual([])
  })
})

describe('what it says of itself', () => {
  test('cs list names the mechanism that is in use here', async () => {
    const { stdout } = await runCs(['list', '--json'])
    const entries = JSON.parse(stdout) as { readonly name: string; readonly mechanism?: string }[]
    const { mechanism } = entries.find(({ name }) => name === 'proactor')!
    expect(mechanism).toMatch(/^io_uring\(7\)|^emulated: .*, on readiness told by epoll$/)
    expect((await runCs(['list'])).stdout).toContain(`(${mechanism})`)
  })

  test.each([
    ['aio', /^aio\(7\)/],
    ['emulated', /^emulated/],
  ])('its statistics name %s', async (backend, mechanism) => {
    const server = await findModel('proactor')!.serve({
      app: new URL('../apps/app.mjs', import.meta.url),
      backend,
    })
    onTestFinished(() => server.close())
    expect(server.stats().mechanism).toMatch(mechanism)
  })
})

function needsIoUring(context: TestContext): void {
  const mechanism = models.find(({ name }) => name === 'proactor')?.mechanism({ backend: 'io_uring' })
  context.skip(mechanism?.startsWith('none') === true, `io_uring cannot be used: ${mechanism}`)
}

interface Observed {
  readonly server: TestServer
  readonly calls: readonly Call[]
  /** Those on descriptors of connections. */
  readonly ofConnections: readonly Call[]
}

/** What the server calls while clients connect and ask; they stay, so that no descriptor gets another meaning. */
async function observe(context: TestContext, set: Readonly<Record<string, string>>): Promise<Observed> {
  needsStrace(context)
  const server = await startForTest('proactor', { set })
  const watched = await trace(server.pid, traced)
  const clients: Client[] = await connectMany(CLIENTS, server)
  for (let round = 0; round < ROUNDS; round++) {
    const replies = await Promise.all(clients.map((client) => client.ask('/hello')))
    expect(replies.map(({ status }) => status)).toEqual(Array(CLIENTS).fill(200))
  }
  const fds = new Set(connectionsOf(server.pid, server.port))
  expect(fds.size).toBe(CLIENTS)
  const calls = await watched.end()
  return { server, calls, ofConnections: calls.filter((call) => fds.has(subjectOf(call))) }
}

/** The descriptor that a call is about. */
function subjectOf({ name, text }: Call): string {
  if (name === 'epoll_ctl') return /EPOLL_CTL_\w+, (\d+)/.exec(text)?.[1] ?? ''
  return name.startsWith('epoll') || name.startsWith('accept') || name.startsWith('io_uring') ? '' : firstArgument(text)
}
