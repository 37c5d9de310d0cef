/** What every model shows that watches all its connections with one demultiplexer on one thread. */

import { expect, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { connect, connectMany } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { childrenOf, type Thread, threadsOf } from '../support/proc.js'
import type { TestServer } from '../support/server.js'
import { type Call, needsStrace, trace } from '../support/strace.js'

/** Turns of the loop in the second for which a handler awaits a timer: far fewer than one a millisecond. */
const FEW_TURNS = 300

/** How the waits of a model look from outside. */
export interface Mechanism {
  readonly model: string
  readonly set?: Readonly<Record<string, string>>
  /** The system calls in which it may wait. */
  readonly waits: readonly string[]
  /** The descriptors that a call, as strace writes it, has reported. */
  readyIn(text: string): string[]
}

/** The cases that are the same for all. */
export function showsThatItWatches({ model, set = {}, waits, readyIn }: Mechanism): void {
  test('waits in its system call on one thread, cs:loop, when it is idle', async () => {
    const server = await startForTest(model, { set })
    await connectMany(8, server)
    await eventually('the loop waits', () => waits.includes(loopOf(server).syscall))
    expect(threadsOf(server.pid).filter(({ comm }) => comm.startsWith('cs:'))).toHaveLength(1)
    expect(childrenOf(server.pid)).toEqual([])
  })

  test('runs every handler on one thread', async () => {
    const server = await startForTest(model, { set })
    const clients = await connectMany(32, server)
    const replies = await Promise.all(clients.map((client) => client.ask('/where')))
    expect(new Set(replies.map(({ body }) => body.toString())).size).toBe(1)
    expect(JSON.parse(replies[0].body.toString())).toMatchObject({ pid: server.pid, threadId: expect.any(Number) })
    expect(JSON.parse(replies[0].body.toString()).threadId).not.toBe(0)
  })

  test('reads from a connection only after a wait has said that it is ready', async (context) => {
    needsStrace(context)
    const server = await startForTest(model, { set })
    const loop = loopOf(server)
    const calls = await trace(server.pid, [...waits, 'accept4', 'recvfrom', 'sendto'])
    const clients = await connectMany(8, server)
    for (let round = 0; round < 5; round++) {
      const replies = await Promise.all(clients.map((client) => client.ask('/hello')))
      expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200))
    }
    const seen = await calls.end()
    const accepted = acceptedIn(seen)
    const reads = seen.filter(({ name, text }) => name === 'recvfrom' && accepted.has(firstArgument(text)))
    expect(reads.length).toBeGreaterThanOrEqual(40)
    expect(seen.filter(({ name, tid }) => name === 'accept4' && tid !== loop.tid)).toEqual([])
    expect(reads.filter(({ tid }) => tid !== loop.tid)).toEqual([])
    expect(seen.some(({ name, tid }) => waits.includes(name) && tid === loop.tid)).toBe(true)
    expect(unannounced(seen, accepted)).toEqual([])
  })

  test('is idle while a handler awaits a timer', async (context) => {
    needsStrace(context)
    const server = await startForTest(model, { set })
    const client = await connect(server)
    expect((await client.ask('/slow?ms=1')).status).toBe(200)
    const calls = await trace(server.pid, waits)
    expect((await client.ask('/slow?ms=1000')).status).toBe(200)
    const { tid } = loopOf(server)
    expect((await calls.end()).filter((call) => call.tid === tid).length).toBeLessThan(FEW_TURNS)
  })

  /** Reads of connections that no event before them announced; an event lasts until a read that brings nothing. */
  function unannounced(calls: readonly Call[], connections: ReadonlySet<string>): string[] {
    const ready = new Set<string>()
    const wrong: string[] = []
    const mayGoOn = set.trigger === 'edge'
    for (const { name, text } of calls) {
      if (name === 'accept4') ready.delete(resultOf(text))
      if (waits.includes(name)) for (const fd of readyIn(text)) ready.add(fd)
      if (name !== 'recvfrom' || !connections.has(firstArgument(text))) continue
      const isAnnounced = ready.has(firstArgument(text))
      if (!mayGoOn || text.endsWith('EAGAIN (Resource temporarily unavailable)')) ready.delete(firstArgument(text))
      if (!isAnnounced) wrong.push(text)
    }
    return wrong
  }
}

export function loopOf(server: TestServer): Thread {
  return threadsOf(server.pid).find(({ comm }) => comm === 'cs:loop')!
}

/** The descriptors of the connections that were accepted. */
export function acceptedIn(calls: readonly Call[]): ReadonlySet<string> {
  return new Set(calls.flatMap(({ name, text }) => (name === 'accept4' ? resultOf(text) || [] : [])))
}

export function resultOf(text: string): string {
  return / = (\d+)$/.exec(text)?.[1] ?? ''
}

export function firstArgument(text: string): string {
  return /^\w+\((\d+)/.exec(text)?.[1] ?? ''
}
