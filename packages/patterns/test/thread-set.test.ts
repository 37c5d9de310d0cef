import { Worker } from 'node:worker_threads'
import { dehydrate } from '@cs/core/sync'
import { type Leader, ThreadSet } from '@cs/patterns/leader-follower'
import { describe, expect, it, onTestFinished } from 'vitest'

/** The index of the test's own thread. */
const ME = 0

function setOf(members: number): ThreadSet {
  return ThreadSet.create(members)
}

/** A list in shared memory: its length, then what is in it. */
function openLog(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4096))
}

function listOf(log: Int32Array): number[] {
  return [...log.subarray(1, 1 + Atomics.load(log, 0))]
}

/** Starts a thread in a role of member.mjs; resolves to its last word once it has ended. */
function start(role: string, threads: ThreadSet, index: number, more: object = {}): Promise<unknown> {
  const workerData = dehydrate({ role, threads, index, ...more })
  const worker = new Worker(new URL('./fixtures/member.mjs', import.meta.url), { workerData })
  onTestFinished(async () => void (await worker.terminate()))
  return new Promise((resolve, reject) => {
    let said: unknown
    worker.on('message', (message) => (said = message))
    worker.on('error', reject)
    worker.on('exit', () => resolve(said))
  })
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
}

async function followersAre(threads: ThreadSet, count: number): Promise<void> {
  await until(() => threads.statistics().followers === count)
}

function lead(threads: ThreadSet): Leader {
  return threads.member(ME).join(0) as Leader
}

describe('a thread set', () => {
  it('lets the first who joins lead, and nobody else until the lead is given up', () => {
    const threads = setOf(2)
    const leader = lead(threads)
    expect(threads.member(1).join(0)).toBe('timed out')
    expect(threads.statistics()).toEqual({ leader: ME, followers: 0, promotions: 0, handOffs: 0 })
    leader.promote()
    expect(typeof threads.member(1).join(0)).toBe('object')
    expect(threads.statistics()).toEqual({ leader: 1, followers: 0, promotions: 1, handOffs: 0 })
  })

  it('refuses a leader that does not lead', () => {
    const threads = setOf(2)
    const leader = lead(threads)
    leader.promote()
    expect(() => leader.promote()).toThrow('does not lead')
    expect(() => leader.handOff(1)).toThrow('does not lead')
  })

  it('promotes in the order in which followers came', async () => {
    const threads = setOf(6)
    const log = openLog()
    const leader = lead(threads)
    const ends: Promise<unknown>[] = []
    for (const index of [3, 1, 5, 2, 4]) {
      ends.push(start('leadOnce', threads, index, { log }))
      await followersAre(threads, ends.length)
    }
    leader.promote()
    expect(await Promise.all(ends)).toEqual(Array(5).fill('led'))
    expect(listOf(log)).toEqual([3, 1, 5, 2, 4])
  })

  it('wakes one follower for a promotion, and leaves the others asleep', async () => {
    const threads = setOf(4)
    const leader = lead(threads)
    const ends = [1, 2, 3].map((index) => start('joinOnce', threads, index))
    await followersAre(threads, 3)
    leader.promote()
    expect(await Promise.race(ends)).toBe('leads')
    expect(threads.statistics().followers).toBe(2)
    threads.close()
    expect((await Promise.all(ends)).sort()).toEqual(['closed', 'closed', 'leads'])
  })

  it('has a follower out of time lead no more, and takes it out of the line', async () => {
    const threads = setOf(3)
    const leader = lead(threads)
    expect(threads.member(1).join(5)).toBe('timed out')
    const end = start('joinOnce', threads, 2)
    await followersAre(threads, 1)
    leader.promote()
    expect(await end).toBe('leads')
  })

  it('passes nobody over for ever, though another thread comes back at once each time', async () => {
    const threads = setOf(2)
    const log = openLog()
    const end = start('leadOften', threads, 1, { log, times: 200 })
    const me = threads.member(ME)
    while (Atomics.load(log, 0) < 200) {
      const leader = me.join() as Leader
      leader.promote()
    }
    expect(await end).toBe('led')
  })

  it('has one leader at a time, and loses no wakeup', async () => {
    const threads = setOf(5)
    const log = openLog()
    const ends = [1, 2, 3, 4].map((index) => start('leadOften', threads, index, { log, times: 5000 }))
    expect(await Promise.all(ends)).toEqual(Array(4).fill('led'))
    expect(log[0]).toBe(20_000)
    expect(threads.statistics()).toEqual({ leader: -1, followers: 0, promotions: 20_000, handOffs: 0 })
  })

  it('hands events to followers in their order, while the leader goes on leading', async () => {
    const threads = setOf(3)
    const log = openLog()
    const leader = lead(threads)
    expect(leader.handOff(7)).toBe(false)
    const ends = [1, 2].map((index) => start('takeEvents', threads, index, { log }))
    for (const event of [10, 11, 12, 13]) {
      await followersAre(threads, 2)
      expect(leader.handOff(event)).toBe(true)
    }
    await followersAre(threads, 2)
    expect(listOf(log).sort()).toEqual([10, 11, 12, 13])
    expect(threads.statistics()).toMatchObject({ leader: ME, promotions: 0, handOffs: 4 })
    threads.close()
    expect(await Promise.all(ends)).toEqual(['closed', 'closed'])
  })

  it('is not left without a leader by one that dies while it leads', async () => {
    const threads = setOf(3)
    const dead = start('dieLeading', threads, 1)
    await dead
    expect(threads.statistics().leader).toBe(1)
    const end = start('joinOnce', threads, 2)
    await followersAre(threads, 1)
    threads.forget(1)
    expect(await end).toBe('leads')
  })

  it('forgets a follower that dies, whose turn is the next one’s', async () => {
    const threads = setOf(3)
    const leader = lead(threads)
    const workerData = dehydrate({ role: 'joinOnce', threads, index: 1 })
    const victim = new Worker(new URL('./fixtures/member.mjs', import.meta.url), { workerData })
    await followersAre(threads, 1)
    const end = start('joinOnce', threads, 2)
    await followersAre(threads, 2)
    await victim.terminate()
    leader.promote() // calls the dead
    expect(threads.statistics().leader).toBe(-1)
    threads.forget(1)
    expect(await end).toBe('leads')
  })

  it('dismisses one thread, and the others stay', async () => {
    const threads = setOf(3)
    const leader = lead(threads)
    const ends = [1, 2].map((index) => start('joinOnce', threads, index))
    await followersAre(threads, 2)
    threads.dismiss()
    expect(await Promise.race(ends)).toBe('dismissed')
    leader.promote()
    expect((await Promise.all(ends)).sort()).toEqual(['dismissed', 'leads'])
  })

  it('ends every join once it is closed', async () => {
    const threads = setOf(3)
    lead(threads)
    const ends = [1, 2].map((index) => start('joinOnce', threads, index))
    await followersAre(threads, 2)
    threads.close()
    expect(await Promise.all(ends)).toEqual(['closed', 'closed'])
    expect(threads.member(ME).join()).toBe('closed')
  })
})
