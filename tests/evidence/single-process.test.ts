/** single-process: one process, one connection at a time, every call blocks. */

import { expect, test } from 'vitest'
import { Gate, startForTest } from '../contract/case.js'
import { connect, request } from '../support/client.js'
import { eventually, pause } from '../support/deadline.js'
import { childrenOf, holdersOf, listenersOn, threadsOf } from '../support/proc.js'
import { needsStrace, trace } from '../support/strace.js'

/** Milliseconds for which a client is observed to get no answer. */
const A_WHILE_MS = 500

test('waits in accept(2) on the main thread of one child process, when it is idle', async () => {
  const server = await startForTest('single-process')
  const children = childrenOf(server.pid)
  expect(children).toHaveLength(1)
  const [{ pid }] = children
  await eventually('the main thread is in accept', () => {
    const main = threadsOf(pid).find(({ tid }) => tid === pid)!
    return /^accept4?$/.test(main.syscall)
  })
  expect(threadsOf(pid).find(({ tid }) => tid === pid)!.comm).toBe('cs:server')
  expect(listenersOn(server.port)).toHaveLength(1)
  expect(holdersOf(listenersOn(server.port)[0], server.pid)).toContain(pid)
})

test('serves every request in that one process and thread', async () => {
  const server = await startForTest('single-process')
  const seen = new Set<string>()
  for (let i = 0; i < 50; i++) {
    const client = await connect(server)
    seen.add((await client.ask('/where', { headers: { connection: 'close' } })).body.toString())
  }
  expect([...seen]).toEqual([JSON.stringify({ pid: childrenOf(server.pid)[0].pid, threadId: 0 })])
})

test('does not answer a second client while a handler awaits for the first', async () => {
  const server = await startForTest('single-process')
  const gate = new Gate()
  const first = await connect(server)
  first.send(request(`/gate?${gate.query}`))
  await eventually('the first has the server', () => gate.begunCount === 1)
  const second = await connect(server)
  second.send(request('/hello'))
  await pause(A_WHILE_MS)
  expect(second.available).toBe(0)
  gate.open()
  expect((await first.reply()).headers.connection).toBe('close')
  expect((await second.reply()).status).toBe(200)
})

test('does not answer a second client before a first that is silent has left', async () => {
  const server = await startForTest('single-process')
  const first = await connect(server)
  const { pid } = childrenOf(server.pid)[0]
  await eventually('the server is with the first', () => /poll|recv/.test(threadsOf(pid)[0].syscall))
  const second = await connect(server)
  second.send(request('/hello'))
  await pause(A_WHILE_MS)
  expect(second.available).toBe(0)
  first.destroy()
  expect((await second.reply()).status).toBe(200)
})

test('accepts, receives, sends and closes in turn, and watches nothing with epoll', async (context) => {
  needsStrace(context)
  const server = await startForTest('single-process')
  const { pid } = childrenOf(server.pid)[0]
  const calls = await trace(pid, ['accept', 'accept4', 'recvfrom', 'sendto', 'epoll_ctl'])
  for (let i = 0; i < 10; i++) {
    const client = await connect(server)
    expect((await client.ask('/hello', { headers: { connection: 'close' } })).status).toBe(200)
    await client.closed()
  }
  const seen = (await calls.end()).filter(({ tid }) => tid === pid)
  const accepted = seen.flatMap(({ name, text }) => (name === 'accept4' ? (/= (\d+)$/.exec(text)?.[1] ?? []) : []))
  expect(accepted.length).toBeGreaterThanOrEqual(10)
  expect(seen.filter(({ name, text }) => name === 'epoll_ctl' && accepted.some((fd) => watches(text, fd)))).toEqual([])
  const order = seen.filter(({ name }) => name !== 'epoll_ctl').map(({ name }) => name[0])
  expect(order.join('')).toMatch(/^(?:a?r+s+r*)+a?$/)
})

function watches(text: string, fd: string): boolean {
  return new RegExp(`EPOLL_CTL_ADD, ${fd},`).test(text)
}
