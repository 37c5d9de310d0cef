/** half-sync-async: one asynchronous thread does all I/O, synchronous threads run handlers, queues between them. */

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'
import { needsStrace, trace } from '../support/strace.js'

/** All calls by which a thread could touch a socket. */
const SOCKET_CALLS = ['accept', 'accept4', 'recvfrom', 'recvmsg', 'sendto', 'sendmsg', 'shutdown', 'connect', 'socket']

test('waits in epoll_wait in the asynchronous thread and in futex in the others, when it is idle', async () => {
  const server = await startForTest('half-sync-async', { set: { threads: 3 } })
  for (const client of await connectMany(4, server)) expect((await client.ask('/async?by=timer')).status).toBe(200)
  await eventually('all are at rest', () => {
    const { async, sync } = rolesOf(server)
    return /^epoll_p?wait$/.test(async.syscall) && sync.every(({ syscall }) => syscall === 'futex')
  })
  expect(rolesOf(server).sync.map(({ comm }) => comm)).toEqual(['cs:sync 1', 'cs:sync 2', 'cs:sync 3'])
})

test('touches sockets in the asynchronous thread alone, whatever handlers and bodies do', async (context) => {
  needsStrace(context)
  const server = await startForTest('half-sync-async', { set: { threads: 2 } })
  const calls = await trace(server.pid, [...SOCKET_CALLS, 'futex', 'epoll_wait'])
  for (const client of await connectMany(6, server)) {
    expect((await client.ask('/hello')).status).toBe(200)
    expect((await client.ask('/async?by=timer')).status).toBe(200)
    expect((await client.ask('/big?bytes=1000000')).body.length).toBe(1_000_000)
    expect((await client.ask('/digest', { method: 'POST', body: 'x'.repeat(300_000) })).status).toBe(200)
  }
  const seen = await calls.end()
  const { async, sync } = rolesOf(server)
  const tids = sync.map(({ tid }) => tid)
  const callersOf = (names: readonly string[]): number[] => [
    ...new Set(seen.filter(({ name }) => names.includes(name)).map(({ tid }) => tid)),
  ]
  expect(callersOf(['accept4'])).toEqual([async.tid])
  expect(callersOf(['recvfrom'])).toContain(async.tid)
  expect(callersOf(SOCKET_CALLS).filter((tid) => tids.includes(tid))).toEqual([])
  expect(callersOf(['futex']).some((tid) => tids.includes(tid))).toBe(true)
})

test('runs no handler in the asynchronous thread, and as many at once as there are others', async () => {
  const server = await startForTest('half-sync-async', { set: { threads: 3 } })
  const gate = new Gate()
  const blocked = await connectMany(3, server)
  for (const client of blocked) client.send(request(`/block?${gate.query}`))
  await eventually('three handlers block', () => gate.begunCount === 3)
  gate.open()
  for (const client of blocked) expect((await client.reply()).status).toBe(200)
})

test('holds no thread for handlers that await, and none for slow clients', async () => {
  const server = await startForTest('half-sync-async', { set: { threads: 1 } })
  const gate = new Gate()
  const awaiting = await connectMany(8, server)
  for (const client of awaiting) client.send(request(`/gate?${gate.query}`))
  const streaming = await connectMany(8, server, { paused: true })
  for (const client of streaming) client.send(request('/long-stream'))
  const sending = await connectMany(8, server)
  for (const client of sending) {
    client.send(request('/digest', { method: 'POST', headers: { 'content-length': '200000' } }))
    client.send('x'.repeat(100_000))
  }
  await eventually('all of them are being handled', () => gate.begunCount === 8)
  for (let i = 0; i < 20; i++) expect((await (await connect(server)).ask('/hello')).status).toBe(200)
  gate.open()
  for (const client of awaiting) expect((await client.reply()).status).toBe(200)
  for (const client of streaming) client.resume()
  for (const client of streaming) expect((await client.reply()).body.length).toBe(256 * 65_536)
  for (const client of sending) client.send('x'.repeat(100_000))
  for (const client of sending) expect(JSON.parse((await client.reply()).body.toString()).length).toBe(200_000)
})

test('reads no more from clients while the queue is full, and then answers all of them', async () => {
  const server = await startForTest('half-sync-async', { set: { threads: 1, waiting: 1 } })
  const gate = new Gate()
  const blocked = await connect(server)
  blocked.send(request(`/block?${gate.query}`))
  await eventually('the only thread is blocked', () => gate.begunCount === 1)
  const others = await connectMany(12, server)
  for (const client of others) await client.sendAll(request('/hello'))
  const unread = request('/hello').length
  // One is in the queue, and one found it full: of whoever comes then nothing is read.
  await eventually('what the others send stays in their sockets', () => unreadOf(server).length >= 10)
  expect(unreadOf(server).every((bytes) => bytes === unread)).toBe(true)
  gate.open()
  for (const client of [blocked, ...others]) expect((await client.reply()).status).toBe(200)
})

test('leaves what a dying thread had not taken to the next', async () => {
  const server = await startForTest('half-sync-async', { set: { threads: 1 } })
  const gate = new Gate()
  const [blocked, victim, ...others] = await connectMany(6, server)
  blocked.send(request(`/block?${gate.query}`))
  await eventually('the only thread is blocked', () => gate.begunCount === 1)
  const before = rolesOf(server)
  await victim.sendAll(request('/exit'))
  for (const client of others) await client.sendAll(request('/hello'))
  gate.open()
  expect((await blocked.reply()).status).toBe(200)
  await victim.closed()
  for (const client of others) expect((await client.reply()).status).toBe(200)
  expect((await blocked.ask('/hello')).status).toBe(200)
  const after = rolesOf(server)
  expect(after.async.tid).toBe(before.async.tid)
  expect(after.sync.map(({ tid }) => tid)).not.toEqual(before.sync.map(({ tid }) => tid))
})

function rolesOf(server: TestServer): { async: Thread; sync: Thread[] } {
  const threads = threadsOf(server.pid)
  return {
    async: threads.find(({ comm }) => comm === 'cs:async')!,
    sync: threads.filter(({ comm }) => comm.startsWith('cs:sync ')).sort((a, b) => (a.comm < b.comm ? -1 : 1)),
  }
}

/** Bytes that wait unread in each of the server's sockets where there are any (proc(5), net/tcp, rx_queue). */
function unreadOf(server: TestServer): number[] {
  const suffix = `:${server.port.toString(16).toUpperCase().padStart(4, '0')}`
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .slice(1)
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(suffix) && state === '01')
    .map((row) => Number.parseInt(row[4].split(':')[1], 16))
    .filter((bytes) => bytes > 0)
}
