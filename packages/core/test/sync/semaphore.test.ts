import { Semaphore } from '@cs/core/sync'
import { describe, expect, test } from 'vitest'
import { results, startMany, unseen, until } from './fixtures/threads.js'

describe('semaphore', () => {
  test('smoke: as many permits are to be had as were created and released', () => {
    const semaphore = Semaphore.create(1)
    expect([semaphore.tryAcquire(), semaphore.tryAcquire()]).toEqual([true, false])
    semaphore.release(2)
    expect([semaphore.acquire(), semaphore.acquire(0), semaphore.available]).toEqual(['acquired', 'acquired', 0])
  })

  test('empty: acquiring times out and leaves no waiter', () => {
    const semaphore = Semaphore.create()
    expect([semaphore.acquire(0), semaphore.acquire(1), semaphore.waiting]).toEqual(['timed out', 'timed out', 0])
  })

  test('full: releasing past 2^31-1 throws and changes nothing', () => {
    const semaphore = Semaphore.create(2 ** 31 - 1)
    expect(() => semaphore.release()).toThrow(
      'the sum of permits must be an integer of 1..2147483647; it is 2147483648',
    )
    expect(semaphore.available).toBe(2 ** 31 - 1)
  })

  test('numbers out of range are refused by name', () => {
    expect(() => Semaphore.create(-1)).toThrow('permits must be an integer of 0..2147483647; it is -1')
    expect(() => Semaphore.create().release(0)).toThrow('permits must be an integer of 1..2147483647; it is 0')
    expect(() => Semaphore.create().acquire(Number.NaN)).toThrow('timeoutMs')
  })

  test('stress: no more threads are inside than there are permits, and none is lost', async () => {
    const semaphore = Semaphore.create(2)
    const inside = new Int32Array(new SharedArrayBuffer(4))
    const given = { semaphore, inside, limit: 2, times: 40_000 }
    expect(await results(startMany<number>(4, 'holdPermits', () => given))).toEqual([0, 0, 0, 0])
    expect([semaphore.available, semaphore.waiting]).toEqual([2, 0])
  })

  test('stampede: one release wakes as many threads as it has permits', async () => {
    const semaphore = Semaphore.create()
    const threads = startMany<string>(6, 'acquireOnce', () => ({ semaphore }))
    if (!unseen) for (const thread of threads) await until(thread.inFutex)
    await until(() => semaphore.waiting === 6)
    semaphore.release(4)
    await until(() => semaphore.waiting === 2)
    expect(semaphore.available).toBe(0)
    semaphore.release(2)
    expect(await results(threads)).toEqual(Array(6).fill('acquired'))
  })
})
