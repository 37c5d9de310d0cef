/** epoll: one thread watches all its connections with epoll_wait(2) and serves those that are ready. */

import { describe, expect, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { connect, connectMany, request } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { needsStrace, trace } from '../support/strace.js'
import { acceptedIn, firstArgument, loopOf, type Mechanism, showsThatItWatches } from './watching.js'

const epoll: Mechanism = {
  model: 'epoll',
  waits: ['epoll_wait', 'epoll_pwait', 'epoll_pwait2'],
  readyIn: (text) => [...text.matchAll(/events=(EPOLL[A-Z|]*), data=(?:\{u32=|0x)?([0-9a-f]+)/g)].map(([, , fd]) => fd),
}

describe('level-triggered', () => {
  showsThatItWatches(epoll)

  test('watches every connection with epoll_ctl, once', async (context) => {
    needsStrace(context)
    const { added, changed } = await controlsOf({})
    expect(added).toHaveLength(8)
    for (const text of added) expect(text).toMatch(/EPOLLIN/)
    expect(added.filter((text) => text.includes('EPOLLET'))).toEqual([])
    expect(changed).toEqual([])
  })
})

describe('edge-triggered', () => {
  showsThatItWatches({ ...epoll, set: { trigger: 'edge' } })

  test('watches every connection with epoll_ctl, once, for edges', async (context) => {
    needsStrace(context)
    const { added, changed } = await controlsOf({ trigger: 'edge' })
    expect(added).toHaveLength(8)
    for (const text of added) expect(text).toMatch(/EPOLLIN.*EPOLLET/)
    expect(changed).toEqual([])
  })

  test('reads and accepts until EAGAIN', async (context) => {
    needsStrace(context)
    const server = await startForTest('epoll', { set: { trigger: 'edge' } })
    const calls = await trace(server.pid, ['accept4', 'recvfrom'])
    const clients = await connectMany(4, server)
    for (const client of clients) expect((await client.ask('/hello')).status).toBe(200)
    await eventually('the loop waits again', () => epoll.waits.includes(loopOf(server).syscall))
    const seen = await calls.end()
    const accepts = seen.filter(({ name }) => name === 'accept4')
    expect(accepts.at(-1)?.text).toContain('EAGAIN')
    for (const fd of acceptedIn(seen)) {
      const reads = seen.filter(({ name, text }) => name === 'recvfrom' && firstArgument(text) === fd)
      expect(reads.at(-1)?.text, `descriptor ${fd}`).toContain('EAGAIN')
    }
  })

  test('lets others in while one client sends without end', async () => {
    const server = await startForTest('epoll', { set: { trigger: 'edge' } })
    const busy = await connect(server)
    const bytes = Buffer.alloc(64 * 1024)
    const length = 2_000_000_000 // more than is sent before the test ends
    await busy.sendAll(request('/digest', { method: 'POST', headers: { 'content-length': String(length) } }))
    let sending = true
    const flood = (async () => {
      while (sending) await busy.sendAll(bytes).catch(() => {})
    })()
    const others = await connectMany(8, server)
    for (let round = 0; round < 5; round++) {
      const replies = await Promise.all(others.map((client) => client.ask('/hello')))
      expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200))
    }
    sending = false
    await flood
    busy.destroy()
  })
})

/** What epoll_ctl is told of 8 connections that are asked something. */
async function controlsOf(set: Readonly<Record<string, string>>): Promise<{ added: string[]; changed: string[] }> {
  const server = await startForTest('epoll', { set })
  const { tid } = loopOf(server)
  const calls = await trace(server.pid, ['accept4', 'epoll_ctl'])
  for (const client of await connectMany(8, server)) expect((await client.ask('/hello')).status).toBe(200)
  const seen = (await calls.end()).filter((call) => call.tid === tid)
  const accepted = acceptedIn(seen)
  const controls = seen.filter(({ name }) => name === 'epoll_ctl').map(({ text }) => text)
  const about = (op: string): string[] =>
    controls.filter((text) => accepted.has(new RegExp(`${op}, (\\d+)`).exec(text)?.[1] ?? ''))
  return { added: about('EPOLL_CTL_ADD'), changed: about('EPOLL_CTL_MOD') }
}
