import { BoundedQueue } from '@cs/core/sync'
import { describe, expect, test } from 'vitest'
import { randomFrom } from './fixtures/random.mjs'
import { type Report, results, seed, start, startMany, sum, unseen, until } from './fixtures/threads.js'

const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i)

describe('bounded queue', () => {
  test('smoke: values come out in the order they went in', () => {
    const queue = BoundedQueue.create(3)
    for (const value of [7, -2, 5]) expect(queue.put(value)).toBe('put')
    expect(queue.size).toBe(3)
    expect([queue.take(), queue.tryTake(), queue.take(0), queue.size]).toEqual([7, -2, 5, 0])
  })

  test('every signed 32-bit value is a payload, and nothing else is', () => {
    const queue = BoundedQueue.create(4)
    const values = [-(2 ** 31), -1, 0, 2 ** 31 - 1]
    expect(queue.putMany(Int32Array.from(values))).toBe(4)
    queue.close()
    expect([...queue]).toEqual(values)
    for (const value of [2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN])
      expect(() => queue.put(value)).toThrow(`value must be an integer of -2147483648..2147483647; it is ${value}`)
  })

  test('a capacity outside 1..2^24 is refused by name', () => {
    for (const capacity of [0, -1, 2 ** 24 + 1, 1.5, Number.NaN])
      expect(() => BoundedQueue.create(capacity)).toThrow(
        `capacity must be an integer of 1..16777216; it is ${capacity}`,
      )
    expect(() => BoundedQueue.create(1).take(-1)).toThrow(RangeError)
    expect(() => BoundedQueue.create(1).putMany(new Int32Array(2), 3)).toThrow(
      'count must be an integer of 0..2; it is 3',
    )
  })

  test('empty: taking says so at once, or after its timeout', () => {
    const queue = BoundedQueue.create(1)
    expect([queue.tryTake(), queue.take(0), queue.take(1)]).toEqual(['empty', 'timed out', 'timed out'])
    expect(queue.waitingTakers).toBe(0)
  })

  test.each([1, 2, 3, 5, 8, 1000])(
    'full: a queue of %i holds exactly as many and says what was refused',
    (capacity) => {
      const queue = BoundedQueue.create(capacity)
      expect(queue.putMany(Int32Array.from(range(capacity + 7)), capacity + 7, 0)).toBe(capacity)
      expect([queue.tryPut(9), queue.put(9, 0), queue.put(9, 1)]).toEqual(['full', 'timed out', 'timed out'])
      expect([queue.size, queue.capacity, queue.waitingPutters]).toEqual([capacity, capacity, 0])
      queue.close()
      expect([...queue]).toEqual(range(capacity))
    },
  )

  test('close: puts are refused, takers drain what is left and then see it', () => {
    const queue = BoundedQueue.create(4)
    queue.putMany(Int32Array.of(1, 2))
    queue.close()
    queue.close()
    expect([queue.closed, queue.put(3), queue.tryPut(3)]).toEqual([true, 'closed', 'closed'])
    expect(queue.putMany(Int32Array.of(3))).toBe(0)
    expect([queue.take(), queue.tryTake(), queue.take(), queue.tryTake()]).toEqual([1, 2, 'closed', 'closed'])
  })

  test('statistics count what went through and the high-water mark, past 2^32 too', () => {
    const queue = BoundedQueue.create(5)
    const { buffer } = queue.share()
    // The low words of TAIL and HEAD, three values before they wrap.
    const cells = new Int32Array(buffer)
    cells[7] = cells[9] = -3
    for (const value of range(10)) expect([queue.put(value), queue.take()]).toEqual(['put', value])
    queue.putMany(Int32Array.of(1, 2, 3, 4))
    expect(queue.statistics()).toEqual({ put: 2 ** 32 + 11, taken: 2 ** 32 + 7, highWater: 4 })
    expect(queue.size).toBe(4)
  })

  test('random operations on one thread agree with an array', () => {
    const random = randomFrom(seed)
    for (const capacity of [1, 3, 16, 100]) {
      const queue = BoundedQueue.create(capacity)
      const model: number[] = []
      for (let i = 0; i < 20_000; i++) {
        const batch = Int32Array.from(range(random(6), i))
        if (random(3) > 0) expect(queue.tryTake()).toBe(model.shift() ?? 'empty')
        else {
          const fitting = Math.min(batch.length, capacity - model.length)
          expect(queue.putMany(batch, batch.length, 0)).toBe(fitting)
          model.push(...batch.subarray(0, fitting))
        }
        expect(queue.size).toBe(model.length)
      }
    }
  })

  test('spsc: a blocking putter and a blocking taker pass everything in order', async () => {
    const queue = BoundedQueue.create(3)
    const taker = start<number[]>('drain', { queue })
    await start('produce', { queue, first: -500, count: 20_000, seed }).result
    queue.close()
    expect(await taker.result).toEqual(range(20_000, -500))
  })

  test.each([
    { capacity: 1024, count: 1_000_000, producers: 2, consumers: 2 },
    { capacity: 64, count: 400_000, producers: 1, consumers: 2 },
    { capacity: 7, count: 100_000, producers: 4, consumers: 4 },
    { capacity: 1, count: 20_000, producers: 2, consumers: 2 },
  ])('mpmc stress: of $count values through $capacity slots none is lost, doubled or reordered', async (shape) => {
    const { capacity, count, producers, consumers } = shape
    const queue = BoundedQueue.create(capacity)
    const perProducer = count / producers
    const first = -count / 2
    const seen = new Uint8Array(new SharedArrayBuffer(count))
    const given = { queue, first, perProducer, producers, seen }
    const takers = startMany<Report>(consumers, 'consume', (i) => ({ ...given, seed: seed + 10 + i }))
    const putting = (i: number) => ({ queue, first: first + i * perProducer, count: perProducer, seed: seed + i })
    await results(startMany(producers, 'produce', putting))
    queue.close()
    expect(sum(await results(takers))).toEqual({ count, doubled: 0, reordered: 0, torn: 0 })
    expect(seen.every((times) => times === 1)).toBe(true)
    expect(queue.statistics()).toMatchObject({ put: count, taken: count })
    expect([queue.size, queue.waitingTakers, queue.waitingPutters]).toEqual([0, 0, 0])
  })

  test('dismiss: one taker goes with nothing, and the values stay', () => {
    const queue = BoundedQueue.create(4)
    queue.putMany(Int32Array.of(1, 2))
    queue.dismiss()
    expect([queue.take(), queue.tryTake(), queue.take()]).toEqual(['dismissed', 1, 2])
    queue.dismiss()
    queue.close()
    expect([queue.tryTake(), queue.take()]).toEqual(['dismissed', 'closed'])
  })

  test('dismiss: one of several blocked takers is woken, the others go on', async () => {
    const queue = BoundedQueue.create(4)
    const takers = startMany<number | string>(3, 'takeOnce', () => ({ queue }))
    await until(() => queue.waitingTakers === 3)
    queue.dismiss()
    await until(() => queue.waitingTakers === 2)
    queue.putMany(Int32Array.of(7, 8))
    expect((await results(takers)).sort()).toEqual([7, 8, 'dismissed'])
  })

  test('stampede: takers blocked in futex are all woken by close', async () => {
    const queue = BoundedQueue.create(4)
    const takers = startMany<string>(6, 'takeOnce', () => ({ queue }))
    await until(() => queue.waitingTakers === 6)
    if (!unseen) for (const taker of takers) await until(taker.inFutex)
    queue.close()
    expect(await results(takers)).toEqual(Array(6).fill('closed'))
  })

  test('stampede: putters blocked in futex are all woken by close, and nothing of theirs went in', async () => {
    const queue = BoundedQueue.create(1)
    queue.put(1)
    const putters = startMany<string>(4, 'putOnce', (value) => ({ queue, value }))
    const batch = start<number>('putBatch', { queue, values: Int32Array.of(8, 9) })
    await until(() => queue.waitingPutters === 5)
    if (!unseen) for (const putter of putters) await until(putter.inFutex)
    queue.close()
    expect(await results(putters)).toEqual(Array(4).fill('closed'))
    expect(await batch.result).toBe(0)
    expect([...queue]).toEqual([1])
  })

  test('a batch calls as many takers as it has values, the rest sleep on', async () => {
    const queue = BoundedQueue.create(8)
    const takers = startMany<number | string>(5, 'takeOnce', () => ({ queue }))
    await until(() => queue.waitingTakers === 5)
    expect(queue.putMany(Int32Array.of(1, 2, 3))).toBe(3)
    await until(() => queue.size === 0)
    expect(queue.waitingTakers).toBe(2)
    queue.close()
    expect((await results(takers)).sort()).toEqual([1, 2, 3, 'closed', 'closed'])
  })

  test('a batch larger than the queue goes in as takers make room', async () => {
    const queue = BoundedQueue.create(4)
    const putter = start<number>('putBatch', { queue, values: Int32Array.from(range(100)) })
    expect(range(100).map(() => queue.take())).toEqual(range(100))
    expect(await putter.result).toBe(100)
  })

  test('no starvation: every one of several idle takers gets its share', async () => {
    const queue = BoundedQueue.create(4)
    const takers = startMany<number>(4, 'countTaken', () => ({ queue }))
    for (let round = 0; round < 400; round++) {
      await until(() => queue.waitingTakers === 4)
      queue.put(round)
    }
    queue.close()
    const counts = await results(takers)
    expect(counts.reduce((all, count) => all + count)).toBe(400)
    expect(Math.min(...counts)).toBeGreaterThan(0)
  })

  test('teardown: a taker terminated while it waits takes nothing with it', async () => {
    const queue = BoundedQueue.create(4)
    const doomed = start('takeOnce', { queue })
    const survivor = start<number[]>('drain', { queue })
    await until(() => queue.waitingTakers === 2)
    if (!unseen) await until(doomed.inFutex)
    await doomed.terminate()
    for (const value of range(1000)) queue.put(value)
    queue.close()
    expect(await survivor.result).toEqual(range(1000))
  })
})

describe('to take many from a bounded queue', () => {
  test('takes the oldest, in order, and no more than there are', () => {
    const queue = BoundedQueue.create(8)
    const into = new Int32Array(8)
    queue.putMany(Int32Array.of(1, 2, 3, 4, 5))
    expect([queue.tryTakeMany(into, 2), ...into.subarray(0, 2)]).toEqual([2, 1, 2])
    expect([queue.tryTakeMany(into), ...into.subarray(0, 3), queue.tryTakeMany(into)]).toEqual([3, 3, 4, 5, 0])
    expect(queue.statistics()).toMatchObject({ put: 5, taken: 5 })
    expect(() => queue.tryTakeMany(into, 9)).toThrow('count must be an integer of 0..8; it is 9')
  })

  test('lets in as many putters as it made room for', async () => {
    const queue = BoundedQueue.create(2)
    queue.putMany(Int32Array.of(1, 2))
    const putters = startMany<string>(2, 'putOnce', (i) => ({ queue, value: 3 + i }))
    await until(() => queue.waitingPutters === 2)
    expect(queue.tryTakeMany(new Int32Array(2))).toBe(2)
    expect(await results(putters)).toEqual(['put', 'put'])
  })
})
