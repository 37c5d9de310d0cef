import { RecordRing } from '@cs/core/sync'
import { describe, expect, test } from 'vitest'
import { randomFrom } from './fixtures/random.mjs'
import { type Report, results, seed, start, startMany, sum, unseen, until } from './fixtures/threads.js'

const bytes = (length: number, from = 1) => Uint8Array.from({ length }, (_, i) => from + i)

describe('record ring', () => {
  test('smoke: messages come out whole, in the order they went in', () => {
    const ring = RecordRing.create(64)
    for (const length of [3, 0, 8]) expect(ring.write(bytes(length))).toBe('written')
    expect([ring.read(), ring.tryRead(), ring.read(0)]).toEqual([bytes(3), bytes(0), bytes(8)])
    expect([ring.used, ring.capacity]).toEqual([0, 64])
  })

  test('a message is copied on its way in and on its way out', () => {
    const ring = RecordRing.create(64)
    const message = bytes(4)
    ring.write(message)
    message.fill(0)
    const out = ring.read() as Uint8Array
    ring.write(bytes(4, 9))
    expect([out, out.buffer instanceof SharedArrayBuffer]).toEqual([bytes(4), false])
  })

  test('reading into a buffer tells the length and leaves the rest of the buffer alone', () => {
    const ring = RecordRing.create(16)
    ring.write(bytes(3))
    const buffer = new Uint8Array(5).fill(7)
    expect([ring.readInto(buffer), ring.tryReadInto(buffer)]).toEqual([3, 'empty'])
    expect([...buffer]).toEqual([1, 2, 3, 7, 7])
  })

  test('a buffer that is too small throws and leaves the message in the ring', () => {
    const ring = RecordRing.create(16)
    ring.write(bytes(5))
    expect(() => ring.readInto(new Uint8Array(4))).toThrow('message length must be an integer of 0..4; it is 5')
    expect(ring.tryRead()).toEqual(bytes(5))
  })

  test('a message larger than the ring throws, one as large as the ring passes at every offset', () => {
    const ring = RecordRing.create(13)
    expect(() => ring.write(bytes(14))).toThrow('message length must be an integer of 0..13; it is 14')
    for (let i = 0; i < 40; i++) {
      for (const length of [13, i % 13]) {
        expect(ring.tryWrite(bytes(length, i))).toBe('written')
        expect(ring.read()).toEqual(bytes(length, i))
      }
    }
  })

  test('a capacity outside 1..2^28 is refused by name', () => {
    for (const capacity of [0, 2 ** 28 + 1, 1.5])
      expect(() => RecordRing.create(capacity)).toThrow(
        `capacity must be an integer of 1..268435456; it is ${capacity}`,
      )
  })

  test('empty: reading says so at once, or after its timeout', () => {
    const ring = RecordRing.create(8)
    expect([ring.tryRead(), ring.read(1), ring.readInto(bytes(8), 0)]).toEqual(['empty', 'timed out', 'timed out'])
  })

  test('full: writing says so at once, or after its timeout', () => {
    const ring = RecordRing.create(8)
    ring.write(bytes(8))
    expect([ring.tryWrite(bytes(1)), ring.write(bytes(1), 1)]).toEqual(['full', 'timed out'])
    expect(ring.read()).toEqual(bytes(8))
  })

  test('close: writes are refused, readers drain what is left and then see it', () => {
    const ring = RecordRing.create(32)
    ring.write(bytes(2))
    ring.write(bytes(3))
    ring.close()
    expect([ring.closed, ring.write(bytes(1)), ring.tryWrite(bytes(1))]).toEqual([true, 'closed', 'closed'])
    expect([...ring]).toEqual([bytes(2), bytes(3)])
    expect([ring.tryRead(), ring.readInto(bytes(1))]).toEqual(['closed', 'closed'])
    expect(ring.statistics()).toEqual({ written: 2, read: 2, highWater: 16 })
  })

  test('random operations on one thread agree with an array', () => {
    const random = randomFrom(seed)
    for (const capacity of [1, 5, 64, 1000]) {
      const ring = RecordRing.create(capacity)
      const model: Uint8Array[] = []
      for (let i = 0; i < 10_000; i++) {
        const message = bytes(random(Math.min(capacity, 90) + 1), i)
        if (random(2) === 0) expect(ring.tryRead()).toEqual(model.shift() ?? 'empty')
        else if (ring.tryWrite(message) === 'written') model.push(message)
        else expect(model.length).toBeGreaterThan(0)
        expect(ring.used === 0).toBe(model.length === 0)
      }
    }
  })

  test.each([
    { capacity: 4096, count: 200_000, producers: 2, consumers: 1 },
    { capacity: 500, count: 60_000, producers: 3, consumers: 3 },
    { capacity: 121, count: 10_000, producers: 2, consumers: 2 },
  ])(
    'mpmc stress: of $count records through $capacity bytes none is lost, doubled, reordered or torn',
    async (shape) => {
      const { capacity, count, producers, consumers } = shape
      const ring = RecordRing.create(capacity)
      const perProducer = count / producers
      const seen = new Uint8Array(new SharedArrayBuffer(count))
      const given = { ring, perProducer, producers, longest: 120, seen }
      const readers = startMany<Report>(consumers, 'readMany', (i) => ({ ...given, seed: seed + 10 + i }))
      const writing = (producer: number) => ({
        ring,
        producer,
        count: perProducer,
        longest: 120,
        seed: seed + producer,
      })
      await results(startMany(producers, 'writeMany', writing))
      ring.close()
      expect(sum(await results(readers))).toEqual({ count, doubled: 0, reordered: 0, torn: 0 })
      expect(seen.every((times) => times === 1)).toBe(true)
      expect(ring.statistics()).toMatchObject({ written: count, read: count })
      expect([ring.used, ring.waitingReaders, ring.waitingWriters]).toEqual([0, 0, 0])
    },
  )

  test('stampede: readers blocked in futex are all woken by close', async () => {
    const ring = RecordRing.create(64)
    const readers = startMany<string>(4, 'readOnce', () => ({ ring }))
    await until(() => ring.waitingReaders === 4)
    if (!unseen) for (const reader of readers) await until(reader.inFutex)
    ring.close()
    expect(await results(readers)).toEqual(Array(4).fill('closed'))
  })

  test('stampede: writers blocked in futex are all woken by close', async () => {
    const ring = RecordRing.create(8)
    ring.write(bytes(8))
    const writers = startMany<string>(4, 'writeOnce', (length) => ({ ring, length }))
    await until(() => ring.waitingWriters === 4)
    if (!unseen) for (const writer of writers) await until(writer.inFutex)
    ring.close()
    expect(await results(writers)).toEqual(Array(4).fill('closed'))
  })

  test('no starvation: one read that makes room for several writers lets them all go', async () => {
    const ring = RecordRing.create(100)
    ring.write(bytes(100))
    const writers = startMany<string>(4, 'writeOnce', () => ({ ring, length: 8 }))
    await until(() => ring.waitingWriters === 4)
    ring.read()
    expect(await results(writers)).toEqual(Array(4).fill('written'))
    expect(ring.used).toBe(4 * 12)
  })

  test('teardown: a reader terminated while it waits takes nothing with it', async () => {
    const ring = RecordRing.create(64)
    const doomed = start('readOnce', { ring })
    await until(() => ring.waitingReaders === 1)
    if (!unseen) await until(doomed.inFutex)
    await doomed.terminate()
    const survivor = start<Uint8Array>('readOnce', { ring })
    ring.write(bytes(5))
    expect(await survivor.result).toEqual(bytes(5))
  })
})
