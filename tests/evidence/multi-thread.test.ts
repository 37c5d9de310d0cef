/** multi-thread: each connection a thread of its own, threads parked between connections. */

import { expect, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually, pause } from '../support/deadline.js'
import { childrenOf, type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'

/** As long as nothing is to be decided by it. */
const NEVER = 600_000

test('waits in epoll_wait in the acceptor and in futex in as many threads as are spare, when it is idle', async () => {
  const server = await startForTest('multi-thread', { set: { spare: 3 } })
  await eventually('all are at rest', () => {
    const { acceptor, parked } = rolesOf(server)
    return /^epoll_p?wait$/.test(acceptor.syscall) && parked.length === 3
  })
  expect(
    rolesOf(server)
      .threads.map(({ comm }) => comm)
      .sort(),
  ).toEqual(['cs:conn 1', 'cs:conn 2', 'cs:conn 3'])
  expect(childrenOf(server.pid)).toEqual([])
})

test('has as many threads busy as there are live connections, idle ones too, each in a wait for its client', async () => {
  const server = await startForTest('multi-thread', { set: { spare: 2 } })
  const clients: Client[] = []
  for (const count of [1, 2, 5]) {
    clients.push(...(await settle(count - clients.length, server, 2)))
    await eventually(`${count} threads are busy, each in a wait for its client`, () => {
      const { busy } = rolesOf(server)
      return busy.length === count && busy.every(({ syscall }) => ['poll', 'ppoll', 'recvfrom'].includes(syscall))
    })
  }
  for (const client of clients) client.destroy()
  await eventually('all are parked', () => rolesOf(server).busy.length === 0)
})

test('serves a connection on one thread as long as it lasts', async () => {
  const server = await startForTest('multi-thread')
  const clients = await connectMany(4, server)
  const threads: number[][] = []
  for (const client of clients) {
    const seen = new Set<number>()
    for (let i = 0; i < 5; i++) seen.add(JSON.parse((await client.ask('/where')).body.toString()).threadId)
    threads.push([...seen])
  }
  expect(threads.every((seen) => seen.length === 1)).toBe(true)
  expect(new Set(threads.flat()).size).toBe(4)
})

test('starts threads ahead of need, and ends those beyond the spare ones when nobody has needed them for a while', async () => {
  const server = await startForTest('multi-thread', { set: { spare: 2, spareTimeout: 300 } })
  const clients = await settle(6, server, 2)
  expect(rolesOf(server).threads).toHaveLength(8)
  for (const client of clients) client.destroy()
  await eventually('only the spare ones are left', () => rolesOf(server).threads.length === 2)
  expect((await (await connect(server)).ask('/hello')).status).toBe(200)
})

test('with spare 0, serves each connection on a thread of its own making, which ends with it', async () => {
  const server = await startForTest('multi-thread', { set: { spare: 0 } })
  const tids = new Set<number>()
  for (let i = 0; i < 5; i++) {
    const client = await connect(server)
    for (let j = 0; j < 2; j++) expect((await client.ask('/hello')).status).toBe(200)
    const { threads } = rolesOf(server)
    expect(threads).toHaveLength(1)
    tids.add(threads[0].tid)
    client.destroy()
    await eventually('its thread is gone', () => rolesOf(server).threads.length === 0)
  }
  expect(tids.size).toBe(5)
})

test('loses one connection where a handler ends its thread, which is replaced', async () => {
  const server = await startForTest('multi-thread', { set: { spare: 1, spareTimeout: NEVER } })
  const others = await settle(4, server, 1)
  for (let i = 0; i < 3; i++) {
    const victim = await connect(server)
    victim.send(request('/exit'))
    await victim.closed()
    for (const client of others) expect((await client.ask('/hello')).status).toBe(200)
  }
  await eventually('as many are busy as there are connections', () => rolesOf(server).busy.length === 4)
  await eventually('each is told', () => server.stderr.match(/1 connections lost/g)?.length === 3)
})

test('leaves connections beyond its threads in the backlog, and serves them when a thread is free', async () => {
  const server = await startForTest('multi-thread', { set: { threads: 2 } })
  const gate = new Gate()
  const busy = await connectMany(2, server)
  for (const client of busy) client.send(request(`/gate?${gate.query}`))
  await eventually('both threads are busy', () => gate.begunCount === 2)
  const { fds, threads } = server.holdings
  const others = await connectMany(3, server)
  for (const client of others) await client.sendAll(request('/hello'))
  await pause(300) // the span in which nobody is taken
  expect(server.holdings).toMatchObject({ fds, threads })
  expect(others.map(({ available }) => available)).toEqual([0, 0, 0])
  gate.open()
  for (const client of [...busy, ...others]) expect((await client.reply()).status).toBe(200)
  expect(rolesOf(server).threads).toHaveLength(2)
})

test('gives up as many idle clients as others wait, where all threads have one', async () => {
  const server = await startForTest('multi-thread', { set: { threads: 4 } })
  const idle = await connectMany(4, server)
  for (const client of idle) expect((await client.ask('/hello')).headers.connection).not.toBe('close')
  await pause(400) // long enough that none counts as just answered
  const other = await connect(server)
  expect((await other.ask('/hello')).status).toBe(200)
  await eventually('one is given up', () => idle.filter(({ end }) => end === 'fin').length > 0)
  await pause(300) // the span in which no other is
  expect(idle.filter(({ end }) => end !== undefined)).toHaveLength(1)
})

test('keeps nothing of 1,000 connections', async () => {
  const server = await startForTest('multi-thread', { set: { spareTimeout: 300 } })
  const once = async (): Promise<void> => {
    const client = await connect(server)
    expect((await client.ask('/hello', { headers: { connection: 'close' } })).status).toBe(200)
    client.destroy()
  }
  for (let i = 0; i < 20; i++) await once()
  const isAtRest = (): boolean => rolesOf(server).parked.length === 8 && rolesOf(server).threads.length === 8
  await eventually('the spare threads are left', isAtRest)
  const before = server.holdings
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 125; i++) await once()
    }),
  )
  await eventually('the spare threads are left again', isAtRest)
  await eventually('the server is back at what it held', () => {
    const { fds, threads } = server.holdings
    return fds <= before.fds && threads <= before.threads
  })
})

/** Connects clients and has each served, with as many threads spare each time as there are to be: in a hurry some would be closed. */
async function settle(count: number, server: TestServer, spare: number): Promise<Client[]> {
  const clients: Client[] = []
  while (clients.length < count) {
    await eventually('threads are there for more', () => rolesOf(server).parked.length === spare)
    const client = await connect(server)
    expect((await client.ask('/hello')).headers.connection).not.toBe('close')
    clients.push(client)
  }
  await eventually('threads are there for more', () => rolesOf(server).parked.length === spare)
  return clients
}

function rolesOf(server: TestServer): { acceptor: Thread; threads: Thread[]; parked: Thread[]; busy: Thread[] } {
  const all = threadsOf(server.pid)
  const threads = all.filter(({ comm }) => comm.startsWith('cs:conn '))
  return {
    acceptor: all.find(({ comm }) => comm === 'cs:acceptor')!,
    threads,
    parked: threads.filter(({ syscall }) => syscall === 'futex'),
    busy: threads.filter(({ syscall }) => syscall !== 'futex'),
  }
}
