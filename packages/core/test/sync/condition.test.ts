import { Condition, Mutex } from '@cs/core/sync'
import { describe, expect, test } from 'vitest'
import { results, startMany, unseen, until } from './fixtures/threads.js'

const shared = () => ({ mutex: Mutex.create(), condition: Condition.create() })
const cell = () => new Int32Array(new SharedArrayBuffer(4))

describe('condition', () => {
  test('smoke: a wait that nobody notifies times out and holds the mutex again', () => {
    const { mutex, condition } = shared()
    mutex.lock()
    expect([condition.wait(mutex, 0), condition.wait(mutex, 1)]).toEqual(['timed out', 'timed out'])
    expect([mutex.tryLock(), condition.waiting]).toEqual([false, 0])
  })

  test('waiting without the mutex throws and counts nobody', () => {
    const { mutex, condition } = shared()
    expect(() => condition.wait(mutex)).toThrow('not locked')
    expect(() => condition.wait(mutex, -1)).toThrow(RangeError)
    expect(condition.waiting).toBe(0)
  })

  test('stress: threads that take turns lose no wake-up', async () => {
    const turn = cell()
    const given = { ...shared(), turn, players: 3, rounds: 5_000 }
    await results(startMany(3, 'alternate', (me) => ({ ...given, me })))
    expect(turn[0]).toBe(15_000)
  })

  test('each notifyOne lets one waiter go', async () => {
    const { mutex, condition } = shared()
    const tickets = cell()
    const threads = startMany(4, 'waitForTicket', () => ({ mutex, condition, tickets }))
    for (let left = 4; left > 0; left--) {
      await until(() => condition.waiting === left)
      mutex.with(() => tickets[0]++)
      condition.notifyOne()
      await until(() => mutex.with(() => tickets[0] === 0))
    }
    await results(threads)
    expect(condition.waiting).toBe(0)
  })

  test('stampede: notifyAll wakes every thread that sleeps in futex', async () => {
    const { mutex, condition } = shared()
    const tickets = cell()
    const threads = startMany(6, 'waitForTicket', () => ({ mutex, condition, tickets }))
    await until(() => condition.waiting === 6)
    if (!unseen) for (const thread of threads) await until(thread.inFutex)
    mutex.with(() => {
      tickets[0] = 6
      condition.notifyAll()
    })
    await results(threads)
    expect([tickets[0], condition.waiting]).toEqual([0, 0])
  })
})
