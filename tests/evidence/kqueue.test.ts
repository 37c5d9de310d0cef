/** kqueue: changes and events go through one kevent(2); on Linux it is emulated, and says so wherever one looks. */

import { models } from '@cs/registry'
import { describe, expect, test } from 'vitest'
import { startForTest } from '../contract/case.js'
import { connectMany } from '../support/client.js'
import { eventually } from '../support/deadline.js'
import { runCs } from '../support/server.js'
import { needsStrace, trace } from '../support/strace.js'
import { acceptedIn, loopOf, type Mechanism, showsThatItWatches } from './watching.js'

const EMULATED = 'emulated over epoll, timerfd, signalfd, eventfd, pidfd and inotify'

/** The emulation waits in epoll. */
const kqueue: Mechanism = {
  model: 'kqueue',
  waits: ['epoll_wait', 'epoll_pwait', 'epoll_pwait2'],
  readyIn: (text) => [...text.matchAll(/events=(EPOLL[A-Z|]*), data=(?:\{u32=|0x)?([0-9a-f]+)/g)].map(([, , fd]) => fd),
}

describe('level-triggered', () => {
  showsThatItWatches(kqueue)

  test('tells the changes with the next wait: each connection is added right before one, and once', async (context) => {
    needsStrace(context)
    const server = await startForTest('kqueue')
    const { tid } = loopOf(server)
    const calls = await trace(server.pid, [...kqueue.waits, 'accept4', 'epoll_ctl', 'recvfrom'])
    for (const client of await connectMany(8, server)) expect((await client.ask('/hello')).status).toBe(200)
    const seen = (await calls.end()).filter((call) => call.tid === tid)
    const accepted = acceptedIn(seen)
    const added = seen.flatMap(({ text }, at) => (accepted.has(fdAdded(text)) ? [at] : []))
    expect(added).toHaveLength(8)
    for (const at of added) {
      const next = seen.slice(at).find(({ name }) => name !== 'epoll_ctl')
      expect(kqueue.waits).toContain(next?.name)
    }
  })
})

describe('edge-triggered', () => {
  showsThatItWatches({ ...kqueue, set: { trigger: 'edge' } })
})

test('says in cs list, at the start and in the statistics that it is emulated here', async (context) => {
  context.skip(process.platform !== 'linux', 'only on Linux it is emulated')
  const { stdout } = await runCs(['list', '--json'])
  const entry = (JSON.parse(stdout) as { name: string; mechanism?: string }[]).find(({ name }) => name === 'kqueue')
  expect(entry?.mechanism).toBe(EMULATED)
  expect((await runCs(['list'])).stdout).toMatch(new RegExp(`^kqueue .*\\(${EMULATED}\\)$`, 'm'))
  const server = await startForTest('kqueue')
  await eventually('the start says it', () => server.stdout.includes(`\nkqueue: ${EMULATED}\n`))
  const own = await models.find(({ name }) => name === 'kqueue')!.serve({ fetch: () => new Response() })
  try {
    expect([own.mechanism, own.stats().mechanism]).toEqual([EMULATED, EMULATED])
  } finally {
    await own.close()
  }
})

function fdAdded(text: string): string {
  return /EPOLL_CTL_ADD, (\d+)/.exec(text)?.[1] ?? ''
}
