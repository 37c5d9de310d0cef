import { type DequeWorker, WorkStealingDeque } from '@cs/core/sync'
import { describe, expect, onTestFinished, test } from 'vitest'
import { randomFrom } from './fixtures/random.mjs'
import { results, seed, start, startMany } from './fixtures/threads.js'

const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i)

/** What a thief counts. */
interface Loot {
  readonly stolen: number
  readonly retries: number
  readonly reordered: number
}

describe('work-stealing deque', () => {
  test('smoke: the owner takes the newest, thieves the oldest', () => {
    const deque = WorkStealingDeque.create(8)
    const [worker, stealer] = [deque.worker(), deque.stealer()]
    for (const value of range(5)) expect(worker.push(value)).toBe(true)
    expect([worker.pop(), stealer.steal(), worker.pop(), stealer.steal(), deque.size]).toEqual([4, 0, 3, 1, 1])
    expect([worker.pop(), worker.pop(), stealer.steal(), deque.size]).toEqual([2, 'empty', 'empty', 0])
  })

  test('each side has its own methods only', () => {
    const deque = WorkStealingDeque.create(1)
    expect([deque, deque.worker(), deque.stealer()].map(methodsOf)).toEqual([
      ['share', 'stealer', 'worker'],
      ['pop', 'push'],
      ['steal'],
    ])
  })

  test('every signed 32-bit value is a payload, and nothing else is', () => {
    const worker = WorkStealingDeque.create(4).worker()
    const values = [-(2 ** 31), -1, 0, 2 ** 31 - 1]
    for (const value of values) worker.push(value)
    expect(range(4).map(() => worker.pop())).toEqual(values.reverse())
    for (const value of [2 ** 31, 0.5, Number.NaN]) expect(() => worker.push(value)).toThrow(RangeError)
  })

  test('a capacity outside 1..2^24 is refused by name', () => {
    for (const capacity of [0, -1, 2 ** 24 + 1, 1.5, Number.NaN])
      expect(() => WorkStealingDeque.create(capacity)).toThrow(
        `capacity must be an integer of 1..16777216; it is ${capacity}`,
      )
  })

  test.each([1, 2, 3, 5, 8, 1000])(
    'full: a deque of %i holds exactly as many, and a theft makes room for one',
    (capacity) => {
      const deque = WorkStealingDeque.create(capacity)
      const [worker, stealer] = [deque.worker(), deque.stealer()]
      expect(range(capacity + 2).map((value) => worker.push(value))).toEqual(
        range(capacity + 2).map((i) => i < capacity),
      )
      expect([stealer.steal(), worker.push(capacity), worker.push(0), worker.size]).toEqual([0, true, false, capacity])
      expect(range(capacity).map(() => stealer.steal())).toEqual(range(capacity, 1))
    },
  )

  test.each([2 ** 31 - 3, -3])('indexes wrap: all goes on as before past %i', (index) => {
    const deque = WorkStealingDeque.create(4)
    const cells = new Int32Array(deque.share().buffer)
    cells[0] = cells[16] = index
    expectToAgreeWithArray(deque, 100)
  })

  test('a successor goes on where the owner ended, and thieves never notice', () => {
    const deque = WorkStealingDeque.create(4)
    const stealer = deque.stealer()
    const before = deque.worker()
    for (const value of [1, 2, 3]) before.push(value)
    const after = WorkStealingDeque.from(deque.share()).worker()
    expect([after.push(4), after.push(5), stealer.steal(), after.pop(), stealer.steal()]).toEqual([
      true,
      false,
      1,
      4,
      2,
    ])
  })

  test('random operations on one thread agree with an array', () => {
    for (const capacity of [1, 3, 16, 100]) expectToAgreeWithArray(WorkStealingDeque.create(capacity), 20_000)
  })

  test('seeded interleavings: whatever happens between two steps of an operation, each value is taken once', () => {
    for (const capacity of [1, 2, 3, 8]) {
      const run = new Interleaving(capacity, seed + capacity)
      run.operate(250_000)
      expect(run.drain()).toEqual({ lost: 0, doubled: 0 })
      expect(run.retries, 'thieves that came too late').toBeGreaterThan(0)
      expect(run.preempted, 'operations amid another').toBeGreaterThan(100_000)
    }
  })

  test('stress: of 10,000,000 operations on two deques none loses a value or takes it twice', async () => {
    const count = 2_500_000 // of values a deque; each is put in and taken out
    const deques = [WorkStealingDeque.create(1024), WorkStealingDeque.create(16)]
    const seen = new Uint8Array(new SharedArrayBuffer(2 * count))
    const done = new Int32Array(new SharedArrayBuffer(4))
    const thieves = startMany<Loot>(2, 'rob', (i) => ({ deques, seen, seed: seed + i, done }))
    const owners = startMany<number>(2, 'own', (i) => ({
      ...{ deque: deques[i], first: i * count, count, seen, seed: seed + 10 + i, done },
    }))
    const popped = (await results(owners)).reduce((all, each) => all + each)
    const loot = await results(thieves)
    const stolen = loot.reduce((all, each) => all + each.stolen, 0)
    expect(popped + stolen).toBe(2 * count)
    expect(seen.findIndex((times) => times !== 1)).toBe(-1)
    expect(stolen).toBeGreaterThan(0)
    for (const { reordered } of loot) expect(reordered).toBe(0)
  }, 60_000)

  test('teardown: what an owner leaves when it ends the thieves take', async () => {
    const deque = WorkStealingDeque.create(64)
    const seen = new Uint8Array(new SharedArrayBuffer(64))
    const worker = deque.worker()
    for (const value of range(64)) worker.push(value)
    const done = new Int32Array(new SharedArrayBuffer(4)).fill(1)
    const thief = start<Loot>('rob', { deques: [deque], seen, seed, done })
    expect(await thief.result).toMatchObject({ stolen: 64, reordered: 0 })
    expect(seen.every((times) => times === 1)).toBe(true)
  })
})

function methodsOf(object: object): string[] {
  const { prototype } = object.constructor as unknown as { prototype: object }
  return Object.entries(Object.getOwnPropertyDescriptors(prototype))
    .filter(([name, { value }]) => typeof value === 'function' && name !== 'constructor')
    .map(([name]) => name)
    .sort()
}

function expectToAgreeWithArray(deque: WorkStealingDeque, operations: number): void {
  const random = randomFrom(seed)
  const [worker, stealer] = [deque.worker(), deque.stealer()]
  const model: number[] = []
  for (let i = 0; i < operations; i++) {
    const choice = random(5)
    if (choice === 0) expect(worker.pop()).toBe(model.pop() ?? 'empty')
    else if (choice === 1) expect(stealer.steal()).toBe(model.shift() ?? 'empty')
    else expect(worker.push(i)).toBe(model.length < deque.capacity && model.push(i) > 0)
    expect(deque.size).toBe(model.length)
  }
}

/**
 * Runs the deque's own code on one thread as if it were several: before each of its atomic operations others may run whole ones,
 * thieves amid the owner, the owner and other thieves amid a thief. What happens depends on the seed alone.
 */
class Interleaving {
  retries = 0
  preempted = 0
  readonly #random: (below: number) => number
  readonly #worker: DequeWorker
  readonly #steal: () => number | 'empty' | 'retry'
  readonly #taken: number[] = []
  #next = 0
  #depth = 0
  #ownerIsBusy = false

  constructor(capacity: number, seed: number) {
    this.#random = randomFrom(seed)
    const deque = WorkStealingDeque.create(capacity)
    const stealer = deque.stealer()
    this.#worker = deque.worker()
    this.#steal = () => stealer.steal()
    const real = globalThis.Atomics
    const before =
      <A extends unknown[], R>(operation: (...args: A) => R) =>
      (...args: A): R => {
        this.#preempt()
        return operation(...args)
      }
    const { load, store, compareExchange } = real
    globalThis.Atomics = Object.create(real, {
      load: { value: before(load as (...args: unknown[]) => unknown) },
      store: { value: before(store as (...args: unknown[]) => unknown) },
      compareExchange: { value: before(compareExchange as (...args: unknown[]) => unknown) },
    })
    onTestFinished(() => {
      globalThis.Atomics = real
    })
  }

  operate(times: number): void {
    for (let i = 0; i < times; i++) this.#operation()
  }

  /** Takes what is left, and tells what was not taken exactly once. */
  drain(): { lost: number; doubled: number } {
    this.#depth = Number.POSITIVE_INFINITY // nobody comes between
    while (this.#pop());
    const seen = new Uint8Array(this.#next)
    for (const value of this.#taken) seen[value]++
    return { lost: seen.filter((times) => times === 0).length, doubled: seen.filter((times) => times > 1).length }
  }

  #preempt(): void {
    if (this.#depth >= 3 || this.#random(4) > 0) return
    this.#depth++
    for (let i = this.#random(4); i > 0; i--) {
      this.preempted++
      this.#operation()
    }
    this.#depth--
  }

  #operation(): void {
    const choice = this.#random(4)
    if (this.#ownerIsBusy || choice === 0) {
      const value = this.#steal()
      if (value === 'retry') this.retries++
      if (typeof value === 'number') this.#taken.push(value)
      return
    }
    this.#ownerIsBusy = true
    if (choice === 1) this.#pop()
    else {
      const value = this.#next++
      if (!this.#worker.push(value)) this.#taken.push(value) // handed back
    }
    this.#ownerIsBusy = false
  }

  #pop(): boolean {
    const value = this.#worker.pop()
    if (value !== 'empty') this.#taken.push(value)
    return value !== 'empty'
  }
}
