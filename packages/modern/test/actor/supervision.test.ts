import { type ActorRef, type ActorSystem, type Behavior, Behaviors, type Supervision } from '@cs/modern/actor'
import { expect, test } from 'vitest'
import { Probe, systemForTest, until } from './probe.js'

type Order = 'fail' | 'add' | { readonly replyTo: ActorRef<number> }

/** Counts, fails when it is told to, and says what it is told of itself. */
function counter(name: string, told: ActorRef<string>): Behavior<Order> {
  return Behaviors.setup(() => {
    let count = 0
    return Behaviors.receive<Order>(
      (_, order) => {
        if (order === 'fail') throw new Error(`${name} was told to`)
        if (order === 'add') count++
        else order.replyTo.tell(count)
        return Behaviors.same
      },
      (_, { type }) => {
        told.tell(`${name} ${type}`)
        return Behaviors.same
      },
    )
  })
}

/** Starts a supervisor with two such children, and gives their addresses. */
async function family(system: ActorSystem, told: ActorRef<string>, supervision: Supervision) {
  const children = await new Promise<ActorRef<Order>[]>((resolve) => {
    system.spawn(
      Behaviors.setup<never>((context) => {
        resolve(['a', 'b'].map((name) => context.spawn(counter(name, told), { name })))
        return Behaviors.receive(
          () => Behaviors.same,
          (_, { type }) => {
            told.tell(`supervisor ${type}`)
            return Behaviors.same
          },
        )
      }),
      { name: 'supervisor', supervision },
    )
  })
  return { a: children[0], b: children[1] }
}

function countOf(system: ActorSystem, actor: ActorRef<Order>): Promise<number> {
  return system.ask(actor, (replyTo: ActorRef<number>) => ({ replyTo }), 1000)
}

test('restarts a child that fails with its mailbox, its siblings unharmed', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const { a, b } = await family(system, probe.ref, {})
  for (const order of ['add', 'add', 'fail', 'add'] as const) a.tell(order)
  b.tell('add')
  expect(await countOf(system, a)).toBe(1)
  expect(await countOf(system, b)).toBe(1)
  expect(probe.seen).toEqual(['a pre-restart'])
  expect(system.statistics()).toMatchObject({ failures: 1, restarts: 1, deadLetters: 0 })
  expect(system.logged).toEqual(['/user/supervisor/a failed'])
})

test('restarts all where the strategy is all-for-one', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const { a, b } = await family(system, probe.ref, { strategy: 'all-for-one' })
  b.tell('add')
  expect(await countOf(system, b)).toBe(1)
  a.tell('fail')
  expect((await probe.has(2)).sort()).toEqual(['a pre-restart', 'b pre-restart'])
  expect([await countOf(system, a), await countOf(system, b)]).toEqual([0, 0])
})

test('resumes with what it had', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const { a } = await family(system, probe.ref, { decide: 'resume' })
  for (const order of ['add', 'fail', 'add'] as const) a.tell(order)
  expect(await countOf(system, a)).toBe(2)
})

test('stops the one that failed, and decides by error and child', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const decide: Supervision['decide'] = (error, child) =>
    `${child.path} ${(error as Error).message}` === '/user/supervisor/a a was told to' ? 'stop' : 'restart'
  const { a, b } = await family(system, probe.ref, { decide })
  a.tell('fail')
  b.tell('fail')
  expect((await probe.has(2)).sort()).toEqual(['a post-stop', 'b pre-restart'])
  await expect(system.ask(a, (replyTo: ActorRef<number>) => ({ replyTo }), 5)).rejects.toThrow('has not answered')
  expect(await countOf(system, b)).toBe(0)
})

test('escalates to the next one up, which restarts the supervisor and so its children', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const { a } = await family(system, probe.ref, { decide: 'escalate' })
  a.tell('fail')
  expect((await probe.has(3)).sort()).toEqual(['a post-stop', 'b post-stop', 'supervisor pre-restart'])
  await until('there are three, and the probe', () => system.statistics().actors === 4)
})

test('fails itself after too many restarts within the period', async () => {
  const system = systemForTest({ supervision: { decide: 'stop' } })
  const probe = new Probe<string>(system)
  const { a } = await family(system, probe.ref, { maxRestarts: 2, withinMs: 60_000 })
  for (let i = 0; i < 3; i++) a.tell('fail')
  await until('the supervisor has ended', () => system.statistics().actors === 1)
  expect(probe.seen).toEqual(['a pre-restart', 'a pre-restart', 'a post-stop', 'b post-stop', 'supervisor post-stop'])
  expect(system.statistics()).toMatchObject({ restarts: 2, failures: 4 })
})

test('restarts that lie further apart than the period do not count', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const { a } = await family(system, probe.ref, { maxRestarts: 1, withinMs: 1 })
  for (let i = 1; i <= 5; i++) {
    a.tell('fail')
    await probe.has(i)
    const end = performance.now() + 3
    await until('the period is over', () => performance.now() > end)
  }
  expect(await countOf(system, a)).toBe(0)
})

test('waits longer before each restart, and keeps the messages', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const { a } = await family(system, probe.ref, { backoff: { minMs: 20, maxMs: 60, jitter: 0 } })
  const began = performance.now()
  for (const order of ['fail', 'fail', 'fail', 'add'] as const) a.tell(order)
  expect(await countOf(system, a)).toBe(1)
  expect(performance.now() - began).toBeGreaterThanOrEqual(20 + 40 + 60)
})

test('an actor that cannot begin fails like any other', async () => {
  const system = systemForTest({ supervision: { maxRestarts: 3 } })
  let tries = 0
  const actor = system.spawn<ActorRef<string>>(
    Behaviors.setup(() => {
      if (++tries < 3) throw new Error('not yet')
      return Behaviors.receive((_, replyTo) => {
        replyTo.tell('here')
        return Behaviors.same
      })
    }),
  )
  expect(await system.ask(actor, (replyTo: ActorRef<string>) => replyTo, 1000)).toBe('here')
  expect(tries).toBe(3)
})

test('a promise that is rejected is a failure, and what comes of one after a restart is not heard', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const actor = system.spawn<string>(
    Behaviors.receive(async (_, message) => {
      await undefined
      if (message === 'fail') throw new Error('told to')
      probe.ref.tell(message)
      return Behaviors.same
    }),
  )
  for (const message of ['a', 'fail', 'b']) actor.tell(message)
  expect(await probe.has(2)).toEqual(['a', 'b'])
  expect(system.statistics().restarts).toBe(1)
})

test('watchers are told with which error an actor ended', async () => {
  const system = systemForTest({ supervision: { decide: 'stop' } })
  const probe = new Probe<string>(system)
  const mortal = system.spawn(counter('mortal', probe.ref))
  system.spawn(
    Behaviors.setup<never>((context) => {
      context.watch(mortal)
      mortal.tell('fail')
      return Behaviors.receive(
        () => Behaviors.same,
        (_, signal) => {
          if (signal.type === 'terminated') probe.ref.tell(String(signal.error))
          return Behaviors.same
        },
      )
    }),
  )
  expect((await probe.has(2))[1]).toBe('Error: mortal was told to')
})

test('the system ends with the error that nobody could deal with', async () => {
  const system = systemForTest({ supervision: { decide: 'escalate' } })
  const actor = system.spawn<string>(
    Behaviors.receive(() => {
      throw new Error('the end')
    }),
  )
  actor.tell('x')
  expect(String(await system.terminated)).toBe('Error: the end')
})

test('timers end with a restart, and begin with the behaviour', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  let lives = 0
  system.spawn(
    Behaviors.setup<string>((context) => {
      lives++
      if (lives === 1) {
        context.timers.startSingle('old', 'of the first life', 10)
        context.self.tell('fail')
      } else context.timers.startSingle('new', 'of the second life', 20)
      return Behaviors.receive((_, message) => {
        if (message === 'fail') throw new Error('told to')
        probe.ref.tell(message)
        return Behaviors.same
      })
    }),
  )
  expect(await probe.has(1)).toEqual(['of the second life'])
})
