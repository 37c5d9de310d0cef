import { BoundedQueue, HotQueue, type Taker } from '@cs/core/sync'
import { describe, expect, test } from 'vitest'
import { results, start, startMany, until } from './fixtures/threads.js'

function pool(takers: number, processors = 2, capacity = 64) {
  const queue = BoundedQueue.create(capacity)
  const cells = HotQueue.cells(takers, processors)
  return { queue, cells, hot: new HotQueue(queue, cells) }
}

describe('hot queue', () => {
  test('smoke: values come out in the order they went in, whoever takes', () => {
    const { hot } = pool(2)
    for (const value of [3, 1, 2]) expect(hot.put(value)).toBe(true)
    expect([hot.taker(0).take(), hot.taker(1).tryTake(), hot.taker(0).take()]).toEqual([3, 1, 2])
    expect([hot.taker(0).tryTake(), hot.taker(0).take(0), hot.taker(0).take(1)]).toEqual([
      'empty',
      'timed out',
      'timed out',
    ])
    expect(hot.sleeping).toBe(0)
  })

  test('calls the sleeper with the lowest index, and dismisses the one with the highest', async () => {
    const { queue, cells, hot } = pool(3)
    const takers = startMany<number | string>(3, 'takeHot', (index) => ({ queue, cells, index }))
    await until(() => hot.sleeping === 3 && takers.every((taker) => taker.inFutex()))
    hot.put(1)
    expect(await takers[0].result).toBe(1)
    hot.dismiss()
    expect(await takers[2].result).toBe('dismissed')
    expect(hot.sleeping).toBe(1)
    hot.close()
    expect(await takers[1].result).toBe('closed')
  })

  test('one whose index is far beyond the others is called, dismissed and closed like them', async () => {
    const { queue, cells, hot } = pool(2048, 1)
    for (const [happens, taken] of [
      [() => hot.put(1), 1],
      [() => hot.dismiss(), 'dismissed'],
      [() => hot.close(), 'closed'],
    ] as const) {
      const taker = start<number | string>('takeHot', { queue, cells, index: 2047 })
      await until(() => hot.sleeping === 1 && taker.inFutex())
      happens()
      expect(await taker.result).toBe(taken)
    }
  })

  test('one that comes calls the next: all values are taken though only some takers are called', async () => {
    const { queue, cells, hot } = pool(6, 1)
    const takers = startMany<number | string>(6, 'takeHot', (index) => ({ queue, cells, index }))
    await until(() => hot.sleeping === 6)
    for (let value = 0; value < 6; value++) hot.put(value) // while the first that was called is still to come, or not
    expect((await results(takers)).sort()).toEqual([0, 1, 2, 3, 4, 5])
  })

  test.each<[string, (hot: HotQueue, running: Taker) => void]>([
    ['rests', (_, running) => running.rests()],
    ['leaves', (_, running) => running.leave()],
    ['has died', (hot) => hot.forget(0)],
    ['is blocked, as whoever puts has found', (hot) => hot.relent()],
  ])('a value waits for a taker that runs, and another is called for it once that one %s', async (_, happens) => {
    const { queue, cells, hot } = pool(2, 1)
    const running = hot.taker(0)
    const other = start<number>('takeHot', { queue, cells, index: 1 })
    await until(() => hot.sleeping === 1 && other.inFutex())
    hot.put(7)
    expect([hot.sleeping, hot.size]).toEqual([1, 1])
    happens(hot, running)
    expect(await other.result).toBe(7)
  })

  test('after one more was let run, values wait again once it is tightened', async () => {
    const { queue, cells, hot } = pool(3, 1)
    hot.taker(0) // runs
    hot.taker(1) // and so does this one, which was called when the first was blocked
    const other = start<number>('takeHot', { queue, cells, index: 2 })
    await until(() => hot.sleeping === 1 && other.inFutex())
    hot.relent()
    for (let n = 0; n < 3; n++) hot.tighten()
    hot.put(7)
    expect([hot.sleeping, hot.size]).toEqual([1, 1])
    hot.relent()
    expect(await other.result).toBe(7)
  })

  test('review: another is called for values that have waited since the last time, and none for those that have not', async () => {
    const { queue, cells, hot } = pool(2, 1)
    const running = hot.taker(0)
    const other = start<number>('takeHot', { queue, cells, index: 1 })
    await until(() => hot.sleeping === 1 && other.inFutex())
    expect(hot.isHeldBack).toBe(false)
    hot.put(7)
    expect(hot.isHeldBack).toBe(true)
    expect([hot.review(1000, 10), hot.review(1009, 10), hot.sleeping]).toEqual([false, false, 1])
    expect(running.tryTake()).toBe(7)
    hot.put(8) // since the last time
    expect([hot.review(1010, 10), hot.sleeping]).toEqual([false, 1])
    expect(hot.review(1020, 10)).toBe(true)
    expect(await other.result).toBe(8)
  })

  test('where the queue is full another is called, so that whoever puts does not wait for one that is blocked', async () => {
    const { queue, cells, hot } = pool(3, 1, 1)
    hot.taker(0) // runs, and takes nothing
    const others = startMany<number>(2, 'takeHot', (at) => ({ queue, cells, index: at + 1 }))
    await until(() => hot.sleeping === 2 && others.every((taker) => taker.inFutex()))
    await start('putHot', { queue, cells, first: 1, count: 3 }).result
    expect((await results(others)).sort()).toEqual([1, 2])
    expect(hot.size).toBe(1)
  })

  test('one that goes on runs beside those that were called meanwhile, and takes what is left', async () => {
    const { queue, cells, hot } = pool(2, 1)
    const running = hot.taker(0)
    const other = start<number>('takeHot', { queue, cells, index: 1 })
    await until(() => hot.sleeping === 1 && other.inFutex())
    running.rests()
    hot.put(7)
    expect(await other.result).toBe(7)
    running.resumes()
    hot.put(8)
    expect(running.tryTake()).toBe(8)
  })

  test('stampede: sleepers are all woken by close', async () => {
    const { queue, cells, hot } = pool(5)
    const takers = startMany<string>(5, 'takeHot', (index) => ({ queue, cells, index }))
    await until(() => hot.sleeping === 5 && takers.every((taker) => taker.inFutex()))
    hot.close()
    expect(await results(takers)).toEqual(Array(5).fill('closed'))
    expect(hot.put(1)).toBe(false)
  })

  test('stress: every value is taken once, by takers that come and go, and each dismissal sends one away', async () => {
    const { queue, cells, hot } = pool(6, 2, 8)
    const seen = new Int32Array(new SharedArrayBuffer(4 * 20_000))
    const dismissed = new Int32Array(new SharedArrayBuffer(4))
    const takers = startMany<number>(6, 'consumeHot', (index) => ({ queue, cells, index, seen, dismissed }))
    const putters = [0, 10_000].map((first) => start('putHot', { queue, cells, first, count: 10_000 }))
    for (const _ of [1, 2, 3]) hot.dismiss()
    await results(putters)
    await until(() => queue.size === 0)
    hot.close()
    const counts = await results(takers)
    expect(counts.reduce((all, count) => all + count)).toBe(20_000)
    expect(seen.every((times) => times === 1)).toBe(true)
    expect(dismissed[0]).toBe(3)
  })
})
