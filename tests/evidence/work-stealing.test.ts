/** work-stealing: a deque for each worker, thieves for the rest; tasks that a handler spawns. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Server } from '@cs/core'
import { serve } from '@cs/patterns/work-stealing'
import { describe, expect, onTestFinished, test } from 'vitest'
import { contentOf, Gate, scratch, startForTest } from '../contract/case.js'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'

const APP = new URL('../apps/tasks.mjs', import.meta.url)

/** What the model says of itself. */
interface Parts {
  readonly injection: { readonly depth: number }
  readonly threads: { readonly sleeping: number }
  readonly workers: readonly Record<'connections' | 'tasks' | 'executed' | 'steals' | 'stolen' | 'parked', number>[]
}

test('waits in epoll_wait in the acceptor and in futex in every worker, when it is idle', async () => {
  const server = await startForTest('work-stealing', { set: { threads: 3 } })
  const clients = await connectMany(6, server)
  for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
  await eventually('all are at rest', () => {
    const [acceptor, ...workers] = threadsOfRoles(server)
    return /^epoll_p?wait$/.test(acceptor.syscall) && workers.every(({ syscall }) => syscall === 'futex')
  })
  const names = threadsOfRoles(server).map(({ comm }) => comm)
  expect(names).toEqual(['cs:acceptor', 'cs:worker 1', 'cs:worker 2', 'cs:worker 3'])
})

test('serves 1,000 keep-alive clients on 2 threads, without closing any', async () => {
  const server = await startForTest('work-stealing', { set: { threads: 2 } })
  const clients = await connectMany(1000, server)
  for (let round = 0; round < 3; round++) {
    const replies = await Promise.all(clients.map((client) => client.ask('/hello')))
    expect(replies.every(({ status, headers }) => status === 200 && headers.connection !== 'close')).toBe(true)
  }
  expect(threadsOfRoles(server)).toHaveLength(3)
})

describe('under skewed load', () => {
  test('a thief serves what lies in the deque of a worker that is blocked, and the statistics tell', async () => {
    const { server, before, begun, others, open } = await skew('/block')
    open.second()
    const threads = await Promise.all(others.map(threadOf))
    expect(new Set(threads).size, 'all by the one worker that is free').toBe(1)
    expect(countsSince(before, server)).toEqual([
      { connections: 0, steals: 0, stolen: 4 },
      { connections: 0, steals: 4, stolen: 0 },
    ])
    open.first()
    expect(threads).not.toContain(await threadOf(begun))
  })

  test('what lay in the deque of a worker that dies is served all the same, by its successor', async () => {
    const { begun, others, open, server } = await skew('/block-and-exit')
    open.first()
    await begun.closed()
    expect(await Promise.all(others.map(threadOf))).toHaveLength(7) // while the other worker is blocked
    open.second()
    expect(server.stats().restarts).toBe(1)
  })
})

describe('tasks', () => {
  test('a request that divides its work has it done on several threads', async () => {
    const server = await startForTest('work-stealing', { app: 'tasks.mjs', set: { threads: 2 } })
    const client = await connect(server)
    await eventually('both workers took part', async () => {
      const { value, threads } = await answer(client, '/fib?n=26')
      expect(value).toBe(121_393)
      return threads.length === 2
    })
  })

  test.each([1, 3])('none is lost and none run twice, on %i threads', async (threads) => {
    const server = await startForTest('work-stealing', { app: 'tasks.mjs', set: { threads } })
    const clients = await connectMany(4, server)
    const files = clients.map((_, i) => join(scratch(), `marks-${i}`))
    const asked = clients.map((client, i) => answer(client, `/marks?n=3000&file=${encodeURIComponent(files[i])}`))
    expect(await Promise.all(asked)).toEqual([true, true, true, true])
    for (const file of files) {
      const marks = readFileSync(file, 'utf8').trimEnd().split('\n').map(Number)
      expect(marks.sort((a, b) => a - b)).toEqual(Array.from({ length: 3000 }, (_, i) => i))
    }
  })

  test.each([1, 2])('tasks may wait for tasks, deeper than there are threads, on %i', async (threads) => {
    const server = await startForTest('work-stealing', { app: 'tasks.mjs', set: { threads } })
    const client = await connect(server)
    expect(await answer(client, '/chain?n=500')).toBe(500)
    expect(await answer(client, '/rests?n=20&ms=5')).toBe(20)
  })

  test.each([1, 2])('what a handler left behind hears of its task though all threads sleep, on %i', async (threads) => {
    const server = await startForTest('work-stealing', { app: 'tasks.mjs', set: { threads } })
    const client = await connect(server)
    for (let i = 0; i < 5; i++) {
      const file = join(scratch(), 'mark')
      expect(await answer(client, `/behind?file=${encodeURIComponent(file)}`)).toBe(true)
      await eventually('the mark is there', () => /^\d+$/.test(contentOf(file)))
    }
  })

  test('arguments and results of megabytes come through', async () => {
    const server = await startForTest('work-stealing', { app: 'tasks.mjs' })
    expect(await answer(await connect(server), '/large?bytes=20000000')).toBe(true)
  })

  test('what goes wrong is said to whoever joins, in words', async () => {
    const server = await startForTest('work-stealing', { app: 'tasks.mjs' })
    const client = await connect(server)
    expect(await answer(client, '/failure')).toBe('RangeError: no luck')
    expect(await answer(client, '/unknown')).toMatch(/^TaskError: .* exports no function 'nobody', only: burn, chain, /)
    expect(await answer(client, '/uncloneable')).toMatch(
      /^TaskError: an argument of echo cannot travel .*could not be clo/,
    )
    expect(await answer(client, '/unreturnable')).toMatch(/^TaskError: what returnsFunction returned cannot travel /)
  })

  test('where there are no workers, spawn says which model has them', async () => {
    const server = await startForTest('thread-pool', { app: 'tasks.mjs' })
    expect(await answer(await connect(server), '/failure')).toMatch(
      /^TaskError: spawn\('fail'\) needs .* work-stealing/,
    )
  })

  test('a task whose thread dies is lost, and whoever joined it hears so', async () => {
    const server = await startForTest('work-stealing', { app: 'tasks.mjs', set: { threads: 3 } })
    const client = await connect(server)
    expect(await answer(client, '/exit')).toBe('TaskError: the task exit is lost: the thread that ran it has died')
    await eventually('its worker is replaced', () => threadsOfRoles(server).length === 4)
    expect((await answer(client, '/fib?n=24')).value).toBe(46_368)
  })
})

/**
 * Brings nearly everything to one of two workers: both are blocked while eight requests come in, then the first goes on, takes
 * the share of a batch (five) and is blocked again by the first of them (`begun`).
 */
async function skew(path: string) {
  const server = await serve({ app: APP, port: 0, threads: 2 })
  onTestFinished(() => server.close())
  const gates = [new Gate(), new Gate(), new Gate()]
  const address = { host: '127.0.0.1', port: Number(new URL(server.url).port) }
  const clients = await connectMany(10, { address })
  for (const client of clients) await client.ask('/hello') // then all are parked
  const [first, second, begun, ...others] = clients
  for (const [i, client] of [first, second].entries()) {
    client.send(request(`/block?${gates[i].query}`))
    await eventually('it is blocked', () => gates[i].begunCount === 1)
  }
  const before = partsOf(server)
  begun.send(request(`${path}?${gates[2].query}`))
  await eventually('it waits', () => partsOf(server).injection.depth === 1)
  for (const client of others) client.send(request('/where'))
  await eventually('all wait', () => partsOf(server).injection.depth === 8)
  gates[0].open()
  await eventually('the first worker is blocked again', () => gates[2].begunCount === 1)
  expect([partsOf(server).injection.depth, countsSince(before, server)]).toEqual([
    3,
    [
      { connections: 0, steals: 0, stolen: 0 },
      { connections: 4, steals: 0, stolen: 0 },
    ],
  ])
  return { server, before, begun, others, open: { first: () => gates[2].open(), second: () => gates[1].open() } }
}

function partsOf(server: Server): Parts {
  return server.stats().parts as unknown as Parts
}

/** What the workers have, and did since; those that stole, or have more, last. */
function countsSince(before: Parts, server: Server) {
  return partsOf(server)
    .workers.map(({ connections, steals, stolen }, i) => ({
      ...{ connections, steals: steals - before.workers[i].steals, stolen: stolen - before.workers[i].stolen },
    }))
    .sort((a, b) => a.steals - b.steals || a.connections - b.connections)
}

function threadsOfRoles(server: TestServer): Thread[] {
  const threads = threadsOf(server.pid).filter(({ comm }) => comm.startsWith('cs:'))
  return threads.sort((a, b) => a.comm.localeCompare(b.comm))
}

async function threadOf(client: Client): Promise<number> {
  return JSON.parse((await client.reply()).body.toString())
}

// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
async function answer(client: Client, target: string): Promise<any> {
  return JSON.parse((await client.ask(target)).body.toString())
}
