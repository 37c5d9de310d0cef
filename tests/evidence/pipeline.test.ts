/** pipeline: read, parse, handle and write are stages, each with threads of its own and a bounded queue. */

import { fileURLToPath } from 'node:url'
import { type PipelineOptions, serve } from '@cs/patterns/pipeline'
import { expect, onTestFinished, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'
import { type Call, needsStrace, trace } from '../support/strace.js'

/** What V8 does for its heap, on any thread. */
const MEMORY_CALLS = ['mmap', 'munmap', 'madvise', 'mprotect']

const WAITS = ['epoll_wait', 'epoll_pwait']

test('waits in epoll_wait in the stage that reads and in futex in all others, when it is idle', async () => {
  const server = await startForTest('pipeline', { set: { read: 2, parse: 2, handle: 2, write: 1 } })
  for (const client of await connectMany(8, server)) expect((await client.ask('/hello')).status).toBe(200)
  await eventually('all are at rest', () =>
    stagesOf(server).every(({ comm, syscall }) =>
      comm.startsWith('cs:read') ? WAITS.includes(syscall) : syscall === 'futex',
    ),
  )
  const names = ['handle 1', 'handle 2', 'parse 1', 'parse 2', 'read 1', 'read 2', 'write 1']
  expect(stagesOf(server).map(({ comm }) => comm)).toEqual(names.map((name) => `cs:${name}`))
})

test('makes in each stage the calls of that stage alone', async (context) => {
  needsStrace(context)
  const server = await startForTest('pipeline')
  const clients = await connectMany(4, server)
  for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
  const calls = await trace(server.pid, ['%desc', '%network', 'futex'])
  for (const client of [...clients, ...(await connectMany(4, server))]) {
    for (let i = 0; i < 3; i++) expect((await client.ask('/hello')).status).toBe(200)
  }
  const seen = await calls.end()
  expect(callsIn(server, seen, 'cs:read 1')).toEqual(expect.arrayContaining(['accept4', 'epoll_wait', 'recvfrom']))
  expect(callsIn(server, seen, 'cs:read 1')).not.toContain('sendto')
  expect(callsIn(server, seen, 'cs:parse 1')).toEqual(['futex'])
  expect(callsIn(server, seen, 'cs:write 1')).toEqual(['futex', 'sendto'])
  for (const { comm } of stagesOf(server).filter(({ comm }) => comm.startsWith('cs:handle'))) {
    const made = callsIn(server, seen, comm)
    for (const call of ['accept4', 'recvfrom', 'sendto', 'sendmsg', 'shutdown']) expect(made).not.toContain(call)
  }
})

test('waits in epoll_wait in the stage that writes while a client reads slowly, and on a futex again when it is done', async () => {
  const server = await startForTest('pipeline')
  const slow = await connect(server, { paused: true })
  slow.send(request('/big'))
  const writerWaitsIn = (calls: readonly string[]) => () =>
    calls.includes(stagesOf(server).find(({ comm }) => comm === 'cs:write 1')!.syscall)
  await eventually('the writer watches the client', writerWaitsIn(WAITS))
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
  slow.resume()
  expect((await slow.reply()).body.length).toBe(10_000_000)
  await eventually('the writer sleeps', writerWaitsIn(['futex']))
})

test('tells depth, occupancy and waiting time of every stage', async () => {
  const server = await startHere({ handle: 2, waiting: 8 })
  const gate = new Gate()
  const clients = await connectMany(6, server)
  for (const client of clients) client.send(request(`/block?${gate.query}`))
  await eventually('two handlers block', () => gate.begunCount === 2)
  await eventually('the others wait', () => server.stage('handle').depth === 4)
  expect(server.stage('handle')).toMatchObject({ threads: 2, busy: 2, occupancy: { now: 1 }, capacity: 8 })
  gate.open()
  for (const client of clients) expect((await client.reply()).status).toBe(200)
  for (const name of ['read', 'parse', 'handle', 'write']) {
    await eventually(`${name} has nothing to do`, () => server.stage(name).depth === 0 && server.stage(name).busy === 0)
    const { threads, occupancy, waitingMs } = server.stage(name)
    expect(threads).toBe(name === 'handle' ? 2 : 1)
    expect(occupancy.average).toBeGreaterThan(0)
    expect(waitingMs.max).toBeGreaterThanOrEqual(waitingMs.average)
  }
  expect(server.stage('handle').waitingMs.max).toBeGreaterThan(server.stage('parse').waitingMs.average)
})

test('holds up the stages before one that is full, back to the sockets, and loses nothing', async () => {
  const server = await startHere({ handle: 1, waiting: 1, laneBytes: 1 << 18 })
  const gate = new Gate()
  const blocked = await connect(server)
  blocked.send(request(`/block?${gate.query}`))
  await eventually('the only handler blocks', () => gate.begunCount === 1)
  const size = 60_000
  const clients = await connectMany(24, server)
  for (const client of clients) client.send(request('/digest', { method: 'POST', body: 'x'.repeat(size) }))
  await eventually('the lane in front of `parse` is full, and the reader waits', () => {
    const { depth } = server.stage('parse')
    return depth > 0 && server.bytesIn < 20 * size && threadNamed('cs:read 1').syscall === 'futex'
  })
  gate.open()
  expect((await blocked.reply()).status).toBe(200)
  for (const client of clients) expect(JSON.parse((await client.reply()).body.toString()).length).toBe(size)
})

test('adds threads to `handle` while it is the bottleneck, and takes them away again', async () => {
  const server = await startHere({ handle: 1, most: 3 })
  const gate = new Gate()
  const clients = await connectMany(6, server)
  for (const client of clients) client.send(request(`/block?${gate.query}`))
  await eventually('three handlers block', () => gate.begunCount === 3)
  expect(server.stage('handle').threads).toBe(3)
  gate.open()
  for (const client of clients) expect((await client.reply()).status).toBe(200)
  await eventually('there is one thread again', () => server.stage('handle').threads === 1)
  expect((await clients[0].ask('/hello')).status).toBe(200)
})

test('says in one line that `most` may not be less than `handle`', async () => {
  await expect(serve({ app: APP, handle: 4, most: 2 })).rejects.toThrow(/`most` must be 0 or at least 4/)
})

const APP = fileURLToPath(new URL('../apps/app.mjs', import.meta.url))

interface Stage {
  readonly threads: number
  readonly busy: number
  readonly depth: number
  readonly occupancy: { readonly now: number; readonly average: number }
  readonly waitingMs: { readonly average: number; readonly max: number }
}

/** A server in this process, whose statistics can be read. */
async function startHere(options: Partial<PipelineOptions>) {
  const server = await serve({ app: APP, ...options })
  onTestFinished(() => server.close())
  return {
    address: { host: '127.0.0.1', port: Number(new URL(server.url).port) },
    stage: (name: string) => server.stats().parts[name] as unknown as Stage,
    get bytesIn() {
      return server.stats().bytesIn
    },
  }
}

function threadNamed(name: string): Thread {
  return threadsOf(process.pid).find(({ comm }) => comm === name)!
}

function stagesOf(server: TestServer): Thread[] {
  return threadsOf(server.pid)
    .filter(({ comm }) => comm.startsWith('cs:'))
    .sort((a, b) => (a.comm < b.comm ? -1 : 1))
}

/** The names of the calls that a thread made. */
function callsIn(server: TestServer, calls: readonly Call[], name: string): string[] {
  const { tid } = stagesOf(server).find(({ comm }) => comm === name)!
  const made = calls.filter((call) => call.tid === tid && !MEMORY_CALLS.includes(call.name))
  return [...new Set(made.map((call) => call.name))].sort()
}
