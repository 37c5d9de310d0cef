/** reactor: handlers register with a reactor, which waits and dispatches; one loop, sub-reactors, or workers. */

import { describe, expect, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { type Client, connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { type Thread, threadsOf } from '../support/proc.js'
import { failToStart, type TestServer } from '../support/server.js'
import { type Call, needsStrace, trace } from '../support/strace.js'
import { acceptedIn, firstArgument, showsThatItWatches } from './watching.js'

const WAITS = ['epoll_wait', 'epoll_pwait', 'epoll_pwait2']

describe('with one loop', () => {
  showsThatItWatches({
    model: 'reactor',
    waits: WAITS,
    readyIn: (text) =>
      [...text.matchAll(/events=(EPOLL[A-Z|]*), data=(?:\{u32=|0x)?([0-9a-f]+)/g)].map(([, , fd]) => fd),
  })

  test.each(['select', 'poll', 'kqueue'])('serves on %s, and says so', async (demultiplexer) => {
    const server = await startForTest('reactor', { set: { demultiplexer } })
    const clients = await connectMany(8, server)
    for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
    expect(server.stdout).toMatch(new RegExp(`^reactor: ${demultiplexer}`, 'm'))
  })

  test('dispatches the events of a descriptor that the app registered a handler for', async () => {
    const server = await startForTest('reactor', { app: 'handler.mjs' })
    const client = await connect(server)
    expect((await client.ask('/start')).body.toString()).toBe('registered')
    await eventually('the handler has been called', async () => {
      return (await client.ask('/count')).body.toString() === 'input 3, closed 1'
    })
  })
})

describe('with loops', () => {
  test('waits in epoll_wait in the acceptor and in every loop when it is idle', async () => {
    const server = await startForTest('reactor', { set: { loops: 3 } })
    await connectMany(6, server)
    await eventually('all wait', () => threadsOfRoles(server).every(({ syscall }) => WAITS.includes(syscall)))
    expect(namesOf(threadsOfRoles(server))).toEqual(['cs:acceptor', 'cs:loop 1', 'cs:loop 2', 'cs:loop 3'])
  })

  test('deals connections in turn, and a loop keeps those it has', async () => {
    const server = await startForTest('reactor', { set: { loops: 3 } })
    const clients = await connectMany(9, server)
    const first = await threadsServing(clients)
    expect([...countsOf(first).values()]).toEqual([3, 3, 3])
    expect(await threadsServing(clients)).toEqual(first)
  })

  test('deals connections to the loop that has the fewest', async () => {
    const server = await startForTest('reactor', { set: { loops: 2, deal: 'least-busy' } })
    const clients = await connectMany(8, server)
    const threads = await threadsServing(clients)
    expect([...countsOf(threads).values()]).toEqual([4, 4])
    for (const [index, client] of clients.entries()) if (threads[index] === threads[0]) client.destroy()
    await eventually('the loop without connections gets the next two', async () => {
      const next = await connectMany(2, server)
      const served = await threadsServing(next)
      for (const client of next) client.destroy()
      return served.every((thread) => thread === threads[0])
    })
  })

  test('stalls no client of the other loops while a handler blocks its own', async () => {
    const server = await startForTest('reactor', { set: { loops: 2 } })
    const [blocked, other] = await connectMany(2, server)
    const gate = new Gate()
    blocked.send(request(`/block?${gate.query}`))
    await eventually('the handler blocks', () => gate.begunCount === 1)
    for (let i = 0; i < 5; i++) expect((await other.ask('/hello')).status).toBe(200)
    gate.open()
    expect((await blocked.reply()).status).toBe(200)
  })

  test('replaces a loop that its handler ends, with what was dealt to it; the others keep theirs', async () => {
    const server = await startForTest('reactor', { set: { loops: 2 } })
    const [victim, other] = await connectMany(2, server)
    expect((await other.ask('/hello')).status).toBe(200)
    victim.send(request('/exit'))
    await victim.closed()
    expect((await other.ask('/hello')).status).toBe(200)
    const next = await connectMany(4, server)
    expect(countsOf(await threadsServing(next)).size).toBe(2)
  })

  test('accepts in the acceptor alone, receives and sends in the loops alone', async (context) => {
    needsStrace(context)
    const server = await startForTest('reactor', { set: { loops: 2 } })
    const calls = await trace(server.pid, ['accept4', 'recvfrom', 'sendto'])
    await threadsServing(await connectMany(8, server))
    const seen = await calls.end()
    expect(callersOf(server, seen, 'accept4')).toEqual(['cs:acceptor'])
    expect(callersOf(server, seen, 'recvfrom')).toEqual(['cs:loop 1', 'cs:loop 2'])
    expect(callersOf(server, seen, 'sendto')).toEqual(['cs:loop 1', 'cs:loop 2'])
  })
})

describe('with workers', () => {
  test('waits in epoll_wait in the reactor and in futex in the workers when it is idle', async () => {
    const server = await startForTest('reactor', { set: { workers: 2 } })
    await connectMany(4, server)
    await eventually('all are at rest', () =>
      threadsOfRoles(server).every(({ comm, syscall }) =>
        comm === 'cs:reactor' ? WAITS.includes(syscall) : syscall === 'futex',
      ),
    )
    expect(namesOf(threadsOfRoles(server))).toEqual(['cs:reactor', 'cs:worker 1', 'cs:worker 2'])
  })

  test('serves 16 keep-alive clients on every worker, and the same client on several', async () => {
    const server = await startForTest('reactor', { set: { workers: 2 } })
    const clients = await connectMany(16, server)
    await eventually('a client was served by both', async () => {
      const rounds = [await threadsServing(clients), await threadsServing(clients)]
      return countsOf(rounds[0]).size === 2 && rounds[0].some((thread, i) => thread !== rounds[1][i])
    })
  })

  test('watches in the reactor and receives and sends in the workers, on registrations for one event', async (context) => {
    needsStrace(context)
    const server = await startForTest('reactor', { set: { workers: 2 } })
    const calls = await trace(server.pid, ['accept4', 'recvfrom', 'sendto', 'epoll_ctl'])
    const clients = await connectMany(8, server)
    for (let round = 0; round < 3; round++) await threadsServing(clients)
    const seen = await calls.end()
    expect(callersOf(server, seen, 'accept4')).toEqual(['cs:reactor'])
    expect(callersOf(server, seen, 'recvfrom').filter((name) => !name.startsWith('cs:worker'))).toEqual([])
    expect(callersOf(server, seen, 'sendto').filter((name) => !name.startsWith('cs:worker'))).toEqual([])
    const accepted = acceptedIn(seen)
    const armed = seen.filter(({ name, text }) => name === 'epoll_ctl' && accepted.has(text.split(', ')[2]))
    expect(armed.length).toBeGreaterThanOrEqual(16)
    for (const { text } of armed) expect(text).toContain('EPOLLONESHOT')
  })
})

describe('with loops and workers', () => {
  test('waits in epoll_wait in acceptor and loops and in futex in the handlers when it is idle', async () => {
    const server = await startForTest('reactor', { set: { loops: 2, workers: 2 } })
    await connectMany(4, server)
    await eventually('all are at rest', () =>
      threadsOfRoles(server).every(({ comm, syscall }) =>
        comm.startsWith('cs:handler') ? syscall === 'futex' : WAITS.includes(syscall),
      ),
    )
    const names = ['cs:acceptor', 'cs:handler 1', 'cs:handler 2', 'cs:io 1', 'cs:io 2']
    expect(namesOf(threadsOfRoles(server))).toEqual(names)
  })

  test('accepts in the acceptor, receives and sends in the loops, and handles in threads that touch no socket', async (context) => {
    needsStrace(context)
    const server = await startForTest('reactor', { set: { loops: 2, workers: 2 } })
    const calls = await trace(server.pid, ['accept4', 'recvfrom', 'sendto'])
    const clients = await connectMany(8, server)
    await eventually('both handlers have served', async () => countsOf(await threadsServing(clients)).size === 2)
    const seen = await calls.end()
    expect(callersOf(server, seen, 'accept4')).toEqual(['cs:acceptor'])
    expect(callersOf(server, seen, 'recvfrom')).toEqual(['cs:io 1', 'cs:io 2'])
    expect(callersOf(server, seen, 'sendto')).toEqual(['cs:io 1', 'cs:io 2'])
    const handlers = threadsOfRoles(server).filter(({ comm }) => comm.startsWith('cs:handler'))
    const tids = handlers.map(({ tid }) => tid)
    expect(seen.filter(({ tid, name }) => name === 'recvfrom' && tids.includes(tid))).toEqual([])
  })

  test('reads and answers on while a handler blocks, also for clients of the same loop', async () => {
    const server = await startForTest('reactor', { set: { loops: 1, workers: 2 } })
    const [blocked, other] = await connectMany(2, server)
    const gate = new Gate()
    blocked.send(request(`/block?${gate.query}`))
    await eventually('the handler blocks', () => gate.begunCount === 1)
    for (let i = 0; i < 5; i++) expect((await other.ask('/hello')).status).toBe(200)
    gate.open()
    expect((await blocked.reply()).status).toBe(200)
  })

  test('loses the request of a handler that ends, and no connection besides', async () => {
    const server = await startForTest('reactor', { set: { loops: 2, workers: 2 } })
    const others = await connectMany(4, server)
    for (const client of others) expect((await client.ask('/hello')).status).toBe(200)
    const victim = await connect(server)
    victim.send(request('/exit'))
    await victim.closed()
    for (const client of others) expect((await client.ask('/hello')).status).toBe(200)
  })

  test('serves on poll too: what crosses is requests, and no thread shares a descriptor', async () => {
    const server = await startForTest('reactor', { set: { loops: 2, workers: 2, demultiplexer: 'poll' } })
    for (const client of await connectMany(8, server)) expect((await client.ask('/hello')).status).toBe(200)
  })
})

test.each([[{ workers: 2, demultiplexer: 'poll' }, 'needs epoll']])(
  'says in one line that it does not take %j',
  async (set, why) => {
    const { code, stdout, stderr } = await failToStart('reactor', { set })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr.trim().split('\n')).toEqual([expect.stringContaining(why)])
  },
)

function threadsOfRoles(server: TestServer): Thread[] {
  return threadsOf(server.pid).filter(({ comm }) => comm.startsWith('cs:'))
}

function namesOf(threads: readonly Thread[]): string[] {
  return threads.map(({ comm }) => comm).sort()
}

/** Which thread serves each client now. */
async function threadsServing(clients: readonly Client[]): Promise<number[]> {
  const replies = await Promise.all(clients.map((client) => client.ask('/hold?ms=2')))
  return replies.map(({ body }) => JSON.parse(body.toString()).threadId)
}

function countsOf(threads: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const thread of threads) counts.set(thread, (counts.get(thread) ?? 0) + 1)
  return counts
}

/** The names of the threads that made a call for a connection; for accept4, at all. */
function callersOf(server: TestServer, calls: readonly Call[], name: string): string[] {
  const accepted = acceptedIn(calls)
  const tids = new Set(
    calls
      .filter((call) => call.name === name && (name === 'accept4' || accepted.has(firstArgument(call.text))))
      .map(({ tid }) => tid),
  )
  return namesOf(threadsOfRoles(server).filter(({ tid }) => tids.has(tid)))
}
