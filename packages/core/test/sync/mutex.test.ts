import { Mutex } from '@cs/core/sync'
import { describe, expect, test } from 'vitest'
import { results, seed, start, startMany, unseen, until } from './fixtures/threads.js'

describe('mutex', () => {
  test('smoke: a free mutex is taken once and left again', () => {
    const mutex = Mutex.create()
    expect([mutex.tryLock(), mutex.tryLock()]).toEqual([true, false])
    mutex.unlock()
    mutex.lock()
    mutex.unlock()
    expect(mutex.tryLock()).toBe(true)
  })

  test('unlocking an unlocked mutex throws and leaves it unlocked', () => {
    const mutex = Mutex.create()
    expect(() => mutex.unlock()).toThrow('not locked')
    expect(mutex.tryLock()).toBe(true)
  })

  test('a section that throws leaves the mutex unlocked', () => {
    const mutex = Mutex.create()
    expect(mutex.with(() => mutex.tryLock())).toBe(false)
    const section = () => {
      throw new Error('section')
    }
    expect(() => mutex.with(section)).toThrow('section')
    expect(mutex.tryLock()).toBe(true)
  })

  test('stress: a plain counter incremented by 4 threads loses nothing', async () => {
    const mutex = Mutex.create()
    const counter = new Int32Array(new SharedArrayBuffer(4))
    const times = 150_000
    await results(startMany(4, 'increment', (i) => ({ mutex, counter, times, seed: seed + i })))
    expect(counter[0]).toBe(4 * times)
    expect(mutex.tryLock()).toBe(true)
  })

  test('stampede: threads that wait for a held mutex sleep in futex and all get it once left', async () => {
    const mutex = Mutex.create()
    mutex.lock()
    const threads = startMany<string>(4, 'lockOnce', () => ({ mutex }))
    if (!unseen) for (const thread of threads) await until(thread.inFutex)
    mutex.unlock()
    expect(await results(threads)).toEqual(['held', 'held', 'held', 'held'])
  })

  test('teardown: a thread terminated while it waits does not keep the mutex', async () => {
    const mutex = Mutex.create()
    mutex.lock()
    const thread = start('lockOnce', { mutex })
    if (!unseen) await until(thread.inFutex)
    await thread.terminate()
    mutex.unlock()
    expect(mutex.with(() => 'held')).toBe('held')
  })
})
