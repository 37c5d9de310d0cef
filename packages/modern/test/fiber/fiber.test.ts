import { describe, expect, test } from 'vitest'
import {
  after,
  CancelledError,
  Channel,
  ChannelClosedError,
  call,
  current,
  DeadlockError,
  type Fiber,
  FiberPanic,
  Mutex,
  pause,
  run,
  type Steps,
  select,
  settled,
  sleep,
  spawn,
  within,
} from '../../dist/fiber/index.js'

function* forEver(): Steps<void> {
  yield* new Channel<number>().receive()
}

describe('the stack', () => {
  test('calls wait at any depth, and give back what they return', async () => {
    function* sum(depth: number): Steps<number> {
      if (depth === 0) {
        yield* sleep(1)
        return 0
      }
      return 1 + (yield* call(sum(depth - 1)))
    }
    expect(await run(() => sum(10_000))).toBe(10_000)
  })

  test('a resumption runs the innermost frame alone, at any depth', async () => {
    let resumed = 0
    /** Counts how often the frames of a call are gone through. */
    function counted(steps: Steps<void>): Steps<void> {
      return {
        next: (value: unknown) => {
          resumed++
          return steps.next(value)
        },
        throw: (error: unknown) => steps.throw(error),
        return: () => steps.return(),
        [Symbol.iterator]() {
          return this
        },
      } as unknown as Steps<void>
    }
    function* descend(depth: number): Steps<void> {
      if (depth > 0) return yield* call(counted(descend(depth - 1)))
      resumed = 0
      for (let i = 0; i < 10; i++) yield* pause()
    }
    await run(() => descend(1000))
    expect(resumed).toBeLessThan(10 + 1000 + 1) // each frame once more, on the way back
    expect(resumed).toBeGreaterThanOrEqual(1000)
  })

  test('an error goes up the frames, and each may catch it', async () => {
    function* fails(): Steps<never> {
      yield
      throw new Error('deep')
    }
    function* passes(): Steps<never> {
      return yield* call(fails())
    }
    const got = await run(function* () {
      try {
        return yield* call(passes())
      } catch (error) {
        return (error as Error).message
      }
    })
    expect(got).toBe('deep')
  })

  test('a cancelled fiber runs the finally blocks of its frames, which may wait, from the innermost out', async () => {
    const log: string[] = []
    function* frame(depth: number): Steps<void> {
      try {
        if (depth === 0) yield* call(forEver())
        else yield* call(frame(depth - 1))
      } finally {
        yield* sleep(1)
        log.push(`frame ${depth}`)
      }
    }
    await run(function* () {
      const fiber = yield* spawn(frame(2))
      yield* pause()
      fiber.cancel()
      try {
        yield* fiber.join()
      } catch (error) {
        log.push((error as Error).name)
      }
    })
    expect(log).toEqual(['frame 0', 'frame 1', 'frame 2', 'CancelledError'])
  })
})

describe('fibers', () => {
  test('100,000 are alive at once, and each does its work', async () => {
    const count = 100_000
    const gate = new Channel<number>()
    let alive = 0
    let most = 0
    let sum = 0
    function* work(): Steps<void> {
      most = Math.max(most, ++alive)
      const value = yield* gate.receive() // first: `sum += yield …` would add to what sum was before
      sum += value!
      alive--
    }
    await run(function* () {
      const fibers: Fiber<void>[] = []
      for (let i = 0; i < count; i++) fibers.push(yield* spawn(work))
      while (alive < count) yield* pause()
      for (let i = 0; i < count; i++) yield* gate.send(i)
      for (const fiber of fibers) yield* fiber.join()
    })
    expect([most, alive, sum]).toEqual([count, 0, (count * (count - 1)) / 2])
  })

  test('have the name of their function, or the one that is given', async () => {
    await run(function* boss() {
      const self = yield* current()
      const child = yield* spawn(forEver)
      const other = yield* spawn(forEver, 'other')
      expect([self.name, child.name, other.name]).toEqual(['boss', 'forEver', 'other'])
    })
  })

  test('those that are left when the first one ends are cancelled', async () => {
    const log: string[] = []
    await run(function* () {
      yield* spawn(function* () {
        try {
          yield* call(forEver())
        } finally {
          log.push('cleaned up')
        }
      })
      yield* pause()
    })
    expect(log).toEqual(['cleaned up'])
  })

  test('one that goes on with what it can have at once lets others have a turn, by its budget', async () => {
    const full = new Channel<number>(1_000_000)
    let sent = 0
    const seen: number[] = []
    await run(
      function* () {
        const greedy = yield* spawn(function* () {
          while (sent < 100) {
            yield* full.send(sent)
            sent++
          }
        })
        while (greedy.state !== 'done') {
          seen.push(sent)
          yield* pause()
        }
      },
      { budget: 10 },
    )
    expect(seen.length).toBeGreaterThan(9)
  })
})

describe('a panic', () => {
  function* broken(): Steps<void> {
    yield
    throw new RangeError('out of range')
  }

  test('names the fiber, and is thrown to who joins it', async () => {
    const caught = await run(function* () {
      const fiber = yield* spawn(broken)
      try {
        return yield* fiber.join()
      } catch (error) {
        return error
      }
    })
    expect(caught).toBeInstanceOf(FiberPanic)
    expect(caught).toMatchObject({ fiber: 'broken', message: "the fiber 'broken' panicked: out of range" })
    expect((caught as FiberPanic).cause).toBeInstanceOf(RangeError)
  })

  test('ends the run where nobody joins it, and cancels the others', async () => {
    const log: string[] = []
    const running = run(function* () {
      yield* spawn(broken)
      try {
        yield* call(forEver())
      } finally {
        log.push('cancelled')
      }
    })
    await expect(running).rejects.toThrow("the fiber 'broken' panicked: out of range")
    expect(log).toEqual(['cancelled'])
  })

  test('is told to who asks, and the others go on', async () => {
    const told: string[] = []
    const got = await run(
      function* () {
        yield* spawn(broken)
        yield* sleep(2)
        return 'went on'
      },
      { onPanic: (panic: unknown) => told.push((panic as Error).message) },
    )
    expect([got, told]).toEqual(['went on', ["the fiber 'broken' panicked: out of range"]])
  })
})

describe('a deadlock', () => {
  test('is found, and says who waits for what', async () => {
    const a = new Mutex()
    const b = new Channel<number>(0, 'orders')
    const running = run(function* main() {
      yield* a.lock()
      const locker = yield* spawn(() => a.locked(forEver()), 'locker')
      yield* spawn(() => b.send(1)[Symbol.iterator](), 'sender')
      yield* locker.join()
    })
    await expect(running).rejects.toThrow(DeadlockError)
    await expect(running).rejects.toThrow(
      "all 3 wait for one another: the coroutine 'main' waits for the end of the coroutine 'locker'; " +
        "the coroutine 'locker' waits for a mutex; the coroutine 'sender' waits to send on the channel 'orders'",
    )
  })

  test('is not what a timer or a promise can end', async () => {
    const channel = new Channel<string>()
    const got = await run(function* () {
      yield* spawn(function* () {
        yield* sleep(5)
        yield* settled(new Promise((resolve) => setTimeout(resolve, 5)))
        yield* channel.send('sent')
      })
      return yield* channel.receive()
    })
    expect(got).toBe('sent')
  })
})

describe('a channel', () => {
  test('holds as many values as it may; then senders wait', async () => {
    const log: string[] = []
    await run(function* () {
      const channel = new Channel<number>(2)
      yield* spawn(function* () {
        for (let i = 0; i < 4; i++) {
          yield* channel.send(i)
          log.push(`sent ${i}`)
        }
        channel.close()
      })
      yield* pause()
      expect(log).toEqual(['sent 0', 'sent 1'])
      expect(channel.size).toBe(2)
      let value: number | undefined
      while ((value = yield* channel.receive()) !== undefined) log.push(`got ${value}`)
    })
    expect(log.filter((line) => line.startsWith('got'))).toEqual(['got 0', 'got 1', 'got 2', 'got 3'])
  })

  test('without room hands each value from one to the other', async () => {
    const log: string[] = []
    await run(function* () {
      const channel = new Channel<number>()
      yield* spawn(function* () {
        yield* channel.send(1)
        log.push('sent')
      })
      yield* pause()
      yield* pause()
      expect(log).toEqual([])
      expect(yield* channel.receive()).toBe(1)
      yield* pause()
      expect(log).toEqual(['sent'])
    })
  })

  test('gives what is left after it is closed, then undefined; senders fail', async () => {
    await run(function* () {
      const channel = new Channel<string>(1, 'c')
      yield* channel.send('left')
      const sender = yield* spawn(() => channel.send('late')[Symbol.iterator]())
      yield* pause()
      channel.close()
      channel.close()
      let error: unknown
      try {
        yield* sender.join()
      } catch (reason) {
        error = (reason as FiberPanic).cause
      }
      expect(error).toBeInstanceOf(ChannelClosedError)
      expect([yield* channel.receive(), yield* channel.receive(), channel.isClosed]).toEqual(['left', undefined, true])
      expect(() => channel.send(undefined as never)).toThrow(TypeError)
    })
    expect(() => new Channel(-1)).toThrow(RangeError)
    expect(() => new Channel(1.5)).toThrow(RangeError)
  })

  test('wakes receivers when it is closed', async () => {
    await run(function* () {
      const channel = new Channel<number>()
      const receiver = yield* spawn(() => channel.receive()[Symbol.iterator]())
      yield* pause()
      channel.close()
      expect(yield* receiver.join()).toBe(undefined)
    })
  })

  test('a receiver that is cancelled takes nothing', async () => {
    await run(function* () {
      const channel = new Channel<number>()
      const gone = yield* spawn(() => channel.receive()[Symbol.iterator]())
      const stays = yield* spawn(() => channel.receive()[Symbol.iterator]())
      yield* pause()
      gone.cancel()
      yield* channel.send(1)
      expect(yield* stays.join()).toBe(1)
    })
  })

  test('many senders and receivers lose nothing and double nothing', async () => {
    const got: number[] = []
    await run(function* () {
      const channel = new Channel<number>(3)
      const senders: Fiber<void>[] = []
      for (let s = 0; s < 50; s++)
        senders.push(
          yield* spawn(function* () {
            for (let i = 0; i < 20; i++) {
              yield* channel.send(s * 20 + i)
              if (i % 7 === s % 7) yield* pause()
            }
          }),
        )
      const receivers: Fiber<void>[] = []
      for (let r = 0; r < 7; r++)
        receivers.push(
          yield* spawn(function* () {
            let value: number | undefined
            while ((value = yield* channel.receive()) !== undefined) got.push(value)
          }),
        )
      for (const sender of senders) yield* sender.join()
      channel.close()
      for (const receiver of receivers) yield* receiver.join()
    })
    expect(got.sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
  })
})

describe('select', () => {
  test('takes the first that comes about, and takes the others back', async () => {
    await run(function* () {
      const numbers = new Channel<number>()
      const words = new Channel<string>()
      yield* spawn(function* () {
        yield* sleep(1)
        yield* words.send('word')
      })
      const chosen = yield* select({ number: numbers.receive(), word: words.receive(), late: after(1000) })
      expect(chosen).toEqual({ key: 'word', value: 'word' })
      const receiver = yield* spawn(() => numbers.receive()[Symbol.iterator]())
      yield* pause()
      yield* numbers.send(7) // goes to who still waits
      expect(yield* receiver.join()).toBe(7)
    })
  })

  test('sends where somebody receives', async () => {
    await run(function* () {
      const a = new Channel<number>()
      const b = new Channel<number>()
      const receiver = yield* spawn(() => b.receive()[Symbol.iterator]())
      yield* pause()
      const chosen = yield* select({ a: a.send(1), b: b.send(2) })
      expect([chosen.key, yield* receiver.join()]).toEqual(['b', 2])
    })
  })

  test('has a bound in time', async () => {
    const got = await run(function* () {
      return yield* select({ never: new Channel<number>().receive(), late: after(2) })
    })
    expect(got).toEqual({ key: 'late', value: undefined })
  })

  test('gives each its turn where several can come about at once', async () => {
    const counts = { a: 0, b: 0 }
    await run(function* () {
      const a = new Channel<number>(100)
      const b = new Channel<number>(100)
      for (let i = 0; i < 100; i++) {
        yield* a.send(i)
        yield* b.send(i)
      }
      for (let i = 0; i < 100; i++) counts[(yield* select({ a: a.receive(), b: b.receive() })).key]++
    })
    expect(counts).toEqual({ a: 50, b: 50 })
  })

  test('fails where an offer does', async () => {
    const channel = new Channel<number>(0, 'shut')
    channel.close()
    const running = run(() => select({ send: channel.send(1) })[Symbol.iterator]())
    await expect(running).rejects.toThrow("the channel 'shut' is closed")
  })

  test('one that is cancelled wants nothing any more', async () => {
    await run(function* () {
      const a = new Channel<number>()
      const chooser = yield* spawn(() => select({ a: a.receive(), late: after(1000) })[Symbol.iterator]())
      yield* pause()
      expect(chooser.waitsFor).toBe('to receive from a channel or for 1000 ms to pass')
      chooser.cancel()
      const receiver = yield* spawn(() => a.receive()[Symbol.iterator]())
      yield* pause()
      yield* a.send(1)
      expect(yield* receiver.join()).toBe(1)
    })
  })
})

describe('a mutex', () => {
  test('lets one in at a time, in the order of coming', async () => {
    const log: string[] = []
    const mutex = new Mutex()
    function* critical(name: string): Steps<void> {
      log.push(`${name} in`)
      yield* sleep(1)
      log.push(`${name} out`)
    }
    await run(function* () {
      const fibers: Fiber<void>[] = []
      for (const name of ['a', 'b', 'c']) fibers.push(yield* spawn(() => mutex.locked(critical(name))))
      for (const fiber of fibers) yield* fiber.join()
    })
    expect(log).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out'])
    expect(mutex.isLocked).toBe(false)
    expect(() => mutex.unlock()).toThrow('not locked')
  })

  test('is given on by a holder, and by one that is given it, when they are cancelled', async () => {
    const mutex = new Mutex()
    await run(function* () {
      const holder = yield* spawn(() => mutex.locked(forEver()))
      const heir = yield* spawn(() => mutex.locked(forEver()))
      const third = yield* spawn(() => mutex.locked(sleep(1)[Symbol.iterator]()))
      yield* pause()
      holder.cancel()
      yield* pause()
      heir.cancel()
      yield* third.join()
    })
    expect(mutex.isLocked).toBe(false)
  })

  test('a wait for it can be bounded', async () => {
    const mutex = new Mutex()
    await run(function* () {
      yield* mutex.lock()
      let name = ''
      try {
        yield* within(2, mutex.lock()[Symbol.iterator]())
      } catch (error) {
        name = (error as Error).name
      }
      expect(name).toBe('TimeoutError')
      mutex.unlock()
      expect(mutex.isLocked).toBe(false)
    })
  })
})

test('cancelling is an error like others to who takes all', async () => {
  expect(new CancelledError('x')).toMatchObject({ name: 'CancelledError', code: 'ERR_CS_CANCELLED' })
})
