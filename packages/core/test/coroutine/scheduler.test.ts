import {
  CancelledError,
  type Coroutine,
  current,
  DeadlockError,
  drive,
  pause,
  Scheduler,
  type SchedulerSettings,
  type Steps,
  settled,
  sleep,
  TimeoutError,
  within,
} from '@cs/core/coroutine'
import { describe, expect, test } from 'vitest'

/** Runs steps to their end on a scheduler of their own. */
function run<T>(steps: (scheduler: Scheduler) => Steps<T>, settings: SchedulerSettings = {}): Promise<T> {
  const scheduler = new Scheduler(settings)
  return drive(scheduler, scheduler.spawn(steps(scheduler), 'main'))
}

function* never(): Steps<void> {
  yield { what: 'for ever', suspend() {}, abandon() {} }
}

/** A promise behind which the thread has been busy for a while. */
async function busy(ms: number): Promise<void> {
  await undefined
  for (const end = performance.now() + ms; performance.now() < end; );
}

describe('spawn', () => {
  test('runs nothing before the turn', () => {
    const scheduler = new Scheduler()
    const log: string[] = []
    function* steps(): Steps<void> {
      log.push('ran')
      yield
    }
    const coroutine = scheduler.spawn(steps(), 'a')
    expect([log, coroutine.name, coroutine.state, scheduler.size]).toEqual([[], 'a', 'ready', 1])
    expect(scheduler.run()).toBe(1)
    expect([log, coroutine.state, scheduler.size]).toEqual([['ran'], 'ready', 1])
    expect([scheduler.run(), scheduler.run()]).toEqual([1, 0])
    expect([coroutine.state, scheduler.size]).toEqual(['done', 0])
  })

  test('gives turns in order, and who pauses stands behind the others', () => {
    const scheduler = new Scheduler()
    const log: string[] = []
    function* steps(name: string): Steps<void> {
      for (let i = 0; i < 3; i++) {
        log.push(`${name}${i}`)
        if (i === 1) yield
        else yield* pause()
      }
    }
    for (const name of ['a', 'b', 'c']) scheduler.spawn(steps(name))
    while (scheduler.run() > 0);
    expect(log).toEqual(['a0', 'b0', 'c0', 'a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
  })

  test('a turn takes those that are ready when it begins', () => {
    const scheduler = new Scheduler()
    let count = 0
    function* spawning(): Steps<void> {
      count++
      scheduler.spawn(spawning())
      yield* never()
    }
    scheduler.spawn(spawning())
    expect([scheduler.run(), scheduler.run(), scheduler.run(), count]).toEqual([1, 1, 1, 3])
    expect(scheduler.timeout()).toBe(0)
  })

  test('what can be had at once costs no turn, but for the budget', () => {
    const scheduler = new Scheduler({ budget: 10 })
    let count = 0
    function* greedy(): Steps<void> {
      for (; count < 100; count++) yield { suspend: (task) => task.resume(), abandon() {} }
    }
    scheduler.spawn(greedy())
    scheduler.run()
    expect(count).toBe(9)
    scheduler.run()
    expect(count).toBe(19)
    expect(() => new Scheduler({ budget: 0 })).toThrow(RangeError)
  })
})

describe('sleep', () => {
  test('wakes in the order of time', async () => {
    const log: number[] = []
    await run(function* (scheduler) {
      const all: Coroutine<void>[] = []
      for (const ms of [30, 10, 20, 0])
        all.push(
          scheduler.spawn(
            (function* (): Steps<void> {
              yield* sleep(ms)
              log.push(ms)
            })(),
          ),
        )
      for (const each of all) yield* each.join()
    })
    expect(log).toEqual([0, 10, 20, 30])
  })

  test('tells a loop how long it may wait', () => {
    const scheduler = new Scheduler()
    expect([scheduler.timeout(), scheduler.timeout(5)]).toEqual([-1, 5])
    scheduler.spawn(sleep(1000)[Symbol.iterator]())
    expect(scheduler.timeout(5)).toBe(0)
    scheduler.run()
    expect(scheduler.timeout(5)).toBe(5)
    expect(scheduler.timeout()).toBeGreaterThan(900)
    expect(scheduler.timeout(5000)).toBeLessThanOrEqual(1000)
    scheduler.close()
    expect([scheduler.timeout(), scheduler.size]).toEqual([-1, 0])
  })

  test('refuses times that there are not', async () => {
    await expect(run(() => sleep(-1)[Symbol.iterator]())).rejects.toThrow(RangeError)
    await expect(run(() => sleep(Number.NaN)[Symbol.iterator]())).rejects.toThrow(RangeError)
  })
})

describe('settled', () => {
  test('gives the value of a promise, and throws what it is rejected with', async () => {
    const log: unknown[] = []
    await run(function* (scheduler) {
      log.push(yield* settled(Promise.resolve(1)))
      try {
        yield* settled(Promise.reject(new Error('no')))
      } catch (error) {
        log.push((error as Error).message)
      }
      log.push(yield* settled(new Promise((resolve) => setTimeout(resolve, 5, 'later'))))
      log.push(scheduler.ledger.pending)
    })
    expect(log).toEqual([1, 'no', 'later', 0])
  })

  test('a promise that nobody waits for any more is not counted', async () => {
    await run(function* (scheduler) {
      const coroutine = scheduler.spawn(settled(new Promise(() => {}))[Symbol.iterator]())
      yield* pause()
      expect(scheduler.ledger.pending).toBe(1)
      coroutine.cancel()
      expect(scheduler.ledger.pending).toBe(0)
    })
  })

  test('a promise that comes too late resumes nothing', async () => {
    let fulfil = (_: string): void => {}
    const promise = new Promise<string>((resolve) => {
      fulfil = resolve
    })
    const got = await run(function* () {
      try {
        return yield* within(5, settled(promise)[Symbol.iterator]())
      } catch {
        fulfil('late')
        return yield* settled(Promise.resolve('next'))
      }
    })
    expect(got).toBe('next')
  })
})

describe('join', () => {
  test('gives what was returned, before and after the end, to all who ask', async () => {
    const got = await run(function* (scheduler) {
      const child = scheduler.spawn(
        (function* (): Steps<number> {
          yield* sleep(1)
          return 42
        })(),
      )
      const other = scheduler.spawn(child.join()[Symbol.iterator]())
      return [yield* child.join(), yield* other.join(), yield* child.join(), yield* settled(child.result())]
    })
    expect(got).toEqual([42, 42, 42, 42])
  })

  test('throws what was thrown', async () => {
    const fails = (scheduler: Scheduler): Coroutine<never> =>
      scheduler.spawn(
        (function* (): Steps<never> {
          yield
          throw new Error('broken')
        })(),
      )
    await expect(run((scheduler) => fails(scheduler).join()[Symbol.iterator]())).rejects.toThrow('broken')
  })

  test('an error that nobody has joined is told, with the name', () => {
    const told: string[] = []
    const scheduler = new Scheduler({ onError: (error, { name }) => told.push(`${name}: ${(error as Error).message}`) })
    scheduler.spawn(
      // biome-ignore lint/correctness/useYield: it fails before it waits
      (function* (): Steps<void> {
        throw new Error('broken')
      })(),
      'worker',
    )
    scheduler.run()
    expect(told).toEqual(['worker: broken'])
  })
})

describe('cancel', () => {
  test('runs the finally blocks, which may wait, innermost first', async () => {
    const log: string[] = []
    function* inner(): Steps<void> {
      try {
        yield* never()
      } catch (error) {
        log.push((error as Error).name)
        throw error
      } finally {
        yield* sleep(1)
        log.push('inner')
      }
    }
    function* outer(): Steps<void> {
      try {
        yield* inner()
        log.push('went on')
      } finally {
        log.push('outer')
      }
    }
    await run(function* (scheduler) {
      const coroutine = scheduler.spawn(outer(), 'outer')
      yield
      expect(coroutine.waitsFor).toBe('for ever')
      expect([coroutine.cancel(), coroutine.cancel()]).toEqual([true, false])
      let error: unknown
      try {
        yield* coroutine.join()
      } catch (reason) {
        error = reason
      }
      expect(error).toBeInstanceOf(CancelledError)
      expect(error).toMatchObject({ message: "the coroutine 'outer' was cancelled" })
      expect(coroutine.cancel()).toBe(false)
    })
    expect(log).toEqual(['CancelledError', 'inner', 'outer'])
  })

  test('one that has not begun does not begin', () => {
    const scheduler = new Scheduler()
    let began = false
    function* steps(): Steps<void> {
      began = true
      yield
    }
    scheduler.spawn(steps()).cancel()
    scheduler.run()
    expect([began, scheduler.size]).toEqual([false, 0])
  })

  test('one that was given something gets it, and ends where it waits next', () => {
    const scheduler = new Scheduler()
    const log: unknown[] = []
    let give = (_: unknown): void => {}
    function* steps(): Steps<void> {
      const got: unknown = yield { suspend: (task) => (give = (value) => task.resume(value)), abandon() {} }
      try {
        log.push(got)
        yield* sleep(0)
        log.push('went on')
      } finally {
        log.push('gave back')
      }
    }
    const coroutine = scheduler.spawn(steps())
    scheduler.run()
    give('a lock')
    coroutine.cancel()
    scheduler.run()
    expect(log).toEqual(['a lock', 'gave back'])
    expect(scheduler.size).toBe(0)
  })

  test('one can cancel itself', async () => {
    const log: string[] = []
    await run(function* (scheduler) {
      const coroutine = scheduler.spawn(
        (function* (): Steps<void> {
          const self = yield* current()
          self.cancel()
          log.push('until it waits')
          yield
          log.push('went on')
        })(),
      )
      yield* sleep(1)
      expect(coroutine.state).toBe('done')
    })
    expect(log).toEqual(['until it waits'])
  })

  test('closing a scheduler cancels all', () => {
    const scheduler = new Scheduler()
    let ended = 0
    function* steps(): Steps<void> {
      try {
        yield* never()
      } finally {
        ended++
      }
    }
    for (let i = 0; i < 10; i++) scheduler.spawn(steps())
    scheduler.run()
    expect(scheduler.statistics()).toMatchObject({ alive: 10, suspended: 10, spawned: 10, resumed: 10 })
    scheduler.close()
    expect([ended, scheduler.size]).toEqual([10, 0])
  })
})

describe('within', () => {
  test('gives what comes in time, and leaves no timer', async () => {
    const got = await run(function* (scheduler) {
      const value = yield* within(
        1000,
        (function* (): Steps<string> {
          yield* sleep(1)
          return 'in time'
        })(),
      )
      return [value, scheduler.statistics().timers]
    })
    expect(got).toEqual(['in time', 0])
  })

  test('throws where it takes longer, after the finally blocks', async () => {
    const log: string[] = []
    function* slow(): Steps<void> {
      try {
        yield* never()
      } finally {
        log.push('finally')
      }
    }
    await expect(run(() => within(5, slow()))).rejects.toThrow(TimeoutError)
    expect(log).toEqual(['finally'])
  })

  test('leaves the bound around it in force where both have passed', async () => {
    const log: string[] = []
    function* late(): Steps<void> {
      yield* settled(busy(5))
      yield* never()
    }
    function* inner(): Steps<void> {
      try {
        yield* within(1, late())
      } catch (error) {
        log.push((error as Error).message)
      }
      yield* never()
    }
    await expect(run(() => within(2, inner()))).rejects.toThrow('within 2 ms')
    expect(log).toHaveLength(1)
  })

  test('the shorter of two bounds is the one that throws', async () => {
    await expect(run(() => within(1000, within(5, never())))).rejects.toThrow('within 5 ms')
    await expect(run(() => within(5, within(1000, never())))).rejects.toThrow('within 5 ms')
  })
})

describe('drive', () => {
  test('tells who waits for whom in a deadlock', async () => {
    const failure = run(function* (scheduler) {
      const ends: Coroutine<void>[] = []
      function* first(): Steps<void> {
        yield* ends[1].join()
      }
      ends.push(scheduler.spawn(first(), 'first'))
      ends.push(scheduler.spawn(ends[0].join()[Symbol.iterator](), 'second'))
      yield* ends[0].join()
    })
    await expect(failure).rejects.toThrow(DeadlockError)
    await expect(failure).rejects.toThrow(
      "all 3 wait for one another: the coroutine 'main' waits for the end of the coroutine 'first'; " +
        "the coroutine 'first' waits for the end of the coroutine 'second'; " +
        "the coroutine 'second' waits for the end of the coroutine 'first'",
    )
  })

  test('lets timers of Node go on beside coroutines that never wait', async () => {
    let isTold = false
    setTimeout(() => {
      isTold = true
    }, 5)
    await run(function* () {
      while (!isTold) yield
    })
    expect(isTold).toBe(true)
  })
})
