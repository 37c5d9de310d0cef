import { IdleWorkers } from '@cs/core/sync'
import { describe, expect, test } from 'vitest'
import { results, seed, start, startMany, until } from './fixtures/threads.js'

const cell = () => new Int32Array(new SharedArrayBuffer(4))

describe('idle workers', () => {
  test('smoke: a sleeper is called once, and then counts as searching', () => {
    const idle = IdleWorkers.create(2)
    const [first, second] = [idle.worker(0), idle.worker(1)]
    expect([idle.notify(), idle.sleeping, idle.known]).toEqual([false, 0, 2])
    first.lieDown()
    second.lieDown()
    expect([idle.sleeping, idle.notify(), idle.sleeping, idle.searching]).toEqual([2, true, 1, 1])
    expect([idle.notify(), idle.sleeping], 'nobody more is called while one searches').toEqual([true, 1])
    first.wait(Number.POSITIVE_INFINITY) // does not: it has been called
    expect([first.getUp(), second.getUp(), idle.searching]).toEqual([true, false, 1])
  })

  test('the last that searched has another called, if there is more', () => {
    const idle = IdleWorkers.create(3)
    const [first, second, third] = [idle.worker(0), idle.worker(1), idle.worker(2)]
    first.search()
    second.search()
    third.lieDown()
    second.found(() => true)
    expect(idle.sleeping, 'one still searches').toBe(1)
    first.found(() => false)
    expect(idle.sleeping, 'there is no more').toBe(1)
    first.search()
    first.found(() => true)
    expect([idle.sleeping, idle.searching]).toEqual([0, 1])
  })

  test('to call wakes another even while one searches', () => {
    const idle = IdleWorkers.create(3)
    idle.worker(0).search()
    for (const index of [1, 2]) idle.worker(index).lieDown()
    expect([idle.call(), idle.callOne(1), idle.callOne(2), idle.call()]).toEqual([true, false, true, false])
    expect(idle.searching).toBe(3)
  })

  test('a successor of one that died searching, or called, does not count twice', () => {
    const idle = IdleWorkers.create(1)
    idle.worker(0).search()
    const second = idle.worker(0)
    expect(idle.searching).toBe(0)
    second.lieDown()
    idle.call()
    idle.worker(0)
    expect([idle.searching, idle.sleeping]).toEqual([0, 0])
  })

  test('a sleep ends with its time', () => {
    const worker = IdleWorkers.create(1).worker(0)
    worker.lieDown()
    worker.wait(1)
    expect(worker.getUp()).toBe(false)
  })

  test('stampede: sleepers in futex are all woken', async () => {
    const idle = IdleWorkers.create(5)
    const sleepers = startMany(5, 'dieCalled', (index) => ({ idle, index }))
    await until(() => idle.sleeping === 5 && sleepers.every(({ inFutex }) => inFutex()))
    idle.callAll()
    await results(sleepers)
  })

  test('a thread that waits without blocking is woken too', async () => {
    const idle = IdleWorkers.create(1)
    const turn = cell()
    const sleeper = start<boolean>('callLater', { idle, index: 0, turn })
    await until(() => Atomics.load(turn, 0) === 1)
    idle.call()
    expect(await sleeper.result).toBe(true)
  })

  test('stress: no wakeup is lost, though workers sleep without end and work comes one piece at a time', async () => {
    const idle = IdleWorkers.create(4)
    const [work, taken, closed] = [cell(), cell(), cell()]
    const times = 100_000
    const workers = startMany<number>(4, 'workIdly', (index) => ({
      ...{ idle, index, work, taken, closed, timeoutMs: Number.POSITIVE_INFINITY },
    }))
    await until(() => idle.sleeping === 4)
    await results(startMany(2, 'notifyWork', (i) => ({ idle, work, taken, seed: seed + i, times: times / 2 })))
    await until(() => Atomics.load(taken, 0) === times) // or never
    await until(() => idle.sleeping === 4)
    expect(idle.searching).toBe(0)
    Atomics.store(closed, 0, 1)
    idle.callAll()
    const slept = await results(workers)
    expect(slept.reduce((all, each) => all + each)).toBeGreaterThan(4)
    expect([idle.searching, idle.sleeping]).toEqual([0, 0])
  })
})
