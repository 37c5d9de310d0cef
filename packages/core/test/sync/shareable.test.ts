import {
  BoundedQueue,
  Condition,
  dehydrate,
  hydrate,
  Mutex,
  RecordRing,
  registerShareable,
  Semaphore,
  type Shared,
} from '@cs/core/sync'
import { describe, expect, test } from 'vitest'

/** What a value becomes on its way through postMessage. */
const travel = <T>(value: T): T => hydrate(structuredClone(dehydrate(value)))

class Flag {
  readonly #cells: Int32Array
  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer)
  }
  static from(shared: Shared): Flag {
    return new Flag(shared.buffer)
  }
  share(): Shared {
    return { kind: 'flag', buffer: this.#cells.buffer as SharedArrayBuffer }
  }
  raise(): void {
    Atomics.store(this.#cells, 0, 1)
  }
  get raised(): boolean {
    return Atomics.load(this.#cells, 0) === 1
  }
}

describe('shareable', () => {
  test('smoke: every shareable object opens again on the same memory', () => {
    const here = {
      mutex: Mutex.create(),
      condition: Condition.create(),
      semaphore: Semaphore.create(),
      rings: [{ ring: RecordRing.create(8) }],
      queue: BoundedQueue.create(3),
    }
    const there = travel(here)
    there.mutex.lock()
    there.semaphore.release(5)
    there.rings[0].ring.write(Uint8Array.of(4))
    there.queue.put(6)
    expect([here.mutex.tryLock(), here.semaphore.available]).toEqual([false, 5])
    expect([here.rings[0].ring.read(), here.queue.take()]).toEqual([Uint8Array.of(4), 6])
    expect(there.condition).toBeInstanceOf(Condition)
    expect(there.queue.capacity).toBe(3)
  })

  test('plain data is left as it is', () => {
    const buffer = new SharedArrayBuffer(4)
    const data = {
      kind: 'mutex',
      n: 1,
      none: null,
      missing: undefined,
      list: [1, ['a']],
      when: new Date(0),
      view: Int8Array.of(1),
    }
    expect(travel(data)).toEqual(data)
    expect(hydrate(dehydrate(buffer))).toBe(buffer)
    expect(travel(7)).toBe(7)
  })

  test('what would not arrive is refused with its path', () => {
    const circle: { self?: unknown } = {}
    circle.self = circle
    const refusals: readonly (readonly [unknown, string])[] = [
      [{ pool: { items: [1, new (class Box {})()] } }, 'value.pool.items[1] is an instance of Box'],
      [{ at: new Map() }, 'value.at is an instance of Map'],
      [{ call: () => 1 }, 'value.call is a function'],
      [{ name: Symbol('s') }, 'value.name is a symbol'],
      [circle, 'value.self is a circular reference'],
      [{ $shared: 1 }, 'value is an object with the reserved key $shared'],
    ]
    for (const [value, message] of refusals) expect(() => dehydrate(value)).toThrow(message)
  })

  test('another floor registers a kind of its own, once', () => {
    const flag = new Flag(new SharedArrayBuffer(4))
    expect(() => dehydrate({ flag })).toThrow('value.flag is an instance of Flag')
    registerShareable('flag', Flag)
    registerShareable('flag', Flag)
    travel({ flag }).flag.raise()
    expect(flag.raised).toBe(true)
    expect(() => registerShareable('mutex', Flag)).toThrow("the kind 'mutex' is already that of the class Mutex")
  })

  test('a kind that is not registered on this thread is refused with its path', () => {
    const stranger = { a: [{ $shared: { kind: 'stranger', buffer: new SharedArrayBuffer(4) } }] }
    expect(() => hydrate(stranger as object)).toThrow("value.a[0] is of the kind 'stranger', unknown here")
  })

  test('a descriptor of another kind is refused', () => {
    expect(() => BoundedQueue.from(Mutex.create().share())).toThrow("expected { kind: 'bounded-queue'")
  })
})
