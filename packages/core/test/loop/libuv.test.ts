import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Service } from '@cs/core/connection'
import { EpollDemultiplexer } from '@cs/core/demux'
import { NestedLibuv } from '@cs/core/loop'
import { close } from '@cs/core/posix'
import { describe, expect, it, onTestFinished } from 'vitest'

/** Runs a loop that blocks in epoll_wait, with libuv as its guest, until the work is done; returns how often it turned. */
async function nested(work: () => Promise<unknown>): Promise<number> {
  const demux = new EpollDemultiplexer()
  const service = new Service({ app: { fetch: () => new Response() } })
  const libuv = new NestedLibuv(demux)
  onTestFinished(() => {
    libuv.close()
    demux.close()
  })
  let failure: unknown
  let turns = 0
  service.appRan = true
  service.pending++
  work().then(
    () => service.pending--,
    (error) => {
      failure = error
      service.pending--
    },
  )
  for (; service.pending > 0; turns++) {
    const ready = demux.wait(libuv.timeout(service, -1))
    for (let i = 0; i < ready; i++) libuv.takes(demux.fd(i))
    await libuv.breathe(service, ready)
  }
  if (failure !== undefined) throw failure
  return turns
}

describe('what a handler awaits', () => {
  it('a timer fires, and the loop sleeps until it is due', async () => {
    expect(await nested(() => sleep(300))).toBeLessThan(100)
  })

  it('many timers fire in their order', async () => {
    const order: number[] = []
    await nested(() => Promise.all([30, 10, 20, 0].map((ms) => sleep(ms).then(() => order.push(ms)))))
    expect(order).toEqual([0, 10, 20, 30])
  })

  it('immediates run, one a turn or more', async () => {
    let ran = 0
    const turns = await nested(async () => {
      for (; ran < 50; ran++) await new Promise((resolve) => setImmediate(resolve))
    })
    expect(ran).toBe(50)
    expect(turns).toBeLessThan(200)
  })

  it('nextTick callbacks run', async () => {
    expect(await nested(() => new Promise<void>((resolve) => process.nextTick(resolve)))).toBeLessThan(10)
  })

  it('a chain of promise reactions of any length runs', async () => {
    const turns = await nested(async () => {
      for (let i = 0; i < 10_000; i++) await undefined
    })
    expect(turns).toBeLessThan(10)
  })

  it('files are read', async () => {
    let text = ''
    expect(
      await nested(async () => {
        text = await readFile(new URL(import.meta.url), 'utf8')
      }),
    ).toBeLessThan(200)
    expect(text).toContain('files are read')
  })

  it('fetch works, against a server of the same thread', async () => {
    const server = createServer((_, response) => response.end('fetched')).listen(0, '127.0.0.1')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    let text = ''
    const turns = await nested(async () => {
      if (!server.listening) await new Promise((resolve) => server.on('listening', resolve))
      text = await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)).text()
    })
    expect(text).toBe('fetched')
    expect(turns).toBeLessThan(500)
  })

  it('failures arrive', async () => {
    await expect(nested(() => readFile('/nowhere'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('closing', () => {
  it('gives the descriptors back', async () => {
    const demux = new EpollDemultiplexer()
    const before = demux.epfd
    const libuv = new NestedLibuv(demux)
    libuv.close()
    demux.close()
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
    const again = new EpollDemultiplexer()
    expect(again.epfd).toBe(before)
    expect(close(again.epfd)).toBe(0)
  })
})
