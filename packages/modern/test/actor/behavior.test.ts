import { type ActorRef, type Behavior, Behaviors, type Signal } from '@cs/modern/actor'
import { expect, test } from 'vitest'
import { Probe, systemForTest, until } from './probe.js'

test('handles messages in order, one after the other', async () => {
  const system = systemForTest()
  const probe = new Probe<number>(system)
  const doubling = system.spawn<number>(
    Behaviors.receive((_, n) => {
      probe.ref.tell(n * 2)
      return Behaviors.same
    }),
  )
  for (let n = 0; n < 1000; n++) doubling.tell(n)
  expect(await probe.has(1000)).toEqual(Array.from({ length: 1000 }, (_, n) => n * 2))
})

test('becomes what handling a message gives, or what it says by become', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const closed: Behavior<string> = Behaviors.receive((context, message) => {
    probe.ref.tell(`closed: ${message}`)
    context.become(open)
    return Behaviors.same
  })
  const open: Behavior<string> = Behaviors.receive((_, message) => {
    probe.ref.tell(`open: ${message}`)
    return closed
  })
  const door = system.spawn(open)
  for (const message of ['a', 'b', 'c']) door.tell(message)
  expect(await probe.has(3)).toEqual(['open: a', 'closed: b', 'open: c'])
})

test('holds up the messages that follow while an asynchronous handler is at work', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const slow = system.spawn<number>(
    Behaviors.receive(async (_, ms) => {
      await new Promise((resolve) => setTimeout(resolve, ms))
      probe.ref.tell(`${ms}`)
      return Behaviors.same
    }),
  )
  slow.tell(20)
  slow.tell(0)
  expect(await probe.has(2)).toEqual(['20', '0'])
})

test('stops its children before itself, and tells each last', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const node = (name: string, children: readonly Behavior<string>[]): Behavior<string> =>
    Behaviors.setup((context) => {
      for (const child of children) context.spawn(child)
      return Behaviors.receive(
        () => Behaviors.stopped,
        (_, { type }) => {
          probe.ref.tell(`${name} ${type}`)
          return Behaviors.same
        },
      )
    })
  const top = system.spawn(node('top', [node('left', [node('leaf', [])]), node('right', [])]))
  top.tell('stop')
  const seen = await probe.has(4)
  expect(seen.at(-1)).toBe('top post-stop')
  expect(seen.indexOf('leaf post-stop')).toBeLessThan(seen.indexOf('left post-stop'))
})

test('names each child once, and finds it by its name', async () => {
  const system = systemForTest()
  const child = Behaviors.receive<string>(() => Behaviors.same)
  const answer = await new Promise<unknown[]>((resolve) => {
    system.spawn(
      Behaviors.setup<string>((context) => {
        const ref = context.spawn(child, { name: 'one' })
        expect(() => context.spawn(child, { name: 'one' })).toThrow('/user/parent has a child one already')
        expect(() => context.spawn(child, { name: 'a/b' })).toThrow('no slash')
        resolve([context.child('one') === ref, ref.path, context.children.length])
        return Behaviors.receive(() => Behaviors.same)
      }),
      { name: 'parent' },
    )
  })
  expect(answer).toEqual([true, '/user/parent/one', 1])
})

test('stops a child when its parent says so, and nobody else that way', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const stranger = system.spawn<string>(Behaviors.receive(() => Behaviors.same))
  system.spawn(
    Behaviors.setup<string>((context) => {
      const child = context.spawn<string>(
        Behaviors.receive(
          () => Behaviors.same,
          (_, { type }) => {
            probe.ref.tell(type)
            return Behaviors.same
          },
        ),
      )
      expect(() => context.stop(stranger)).toThrow('is no child of')
      context.stop(child)
      return Behaviors.receive(() => Behaviors.same)
    }),
  )
  expect(await probe.has(1)).toEqual(['post-stop'])
})

test('tells of the end of an actor that is watched, also where it has ended already', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const mortal = system.spawn<string>(
    Behaviors.receive(() => Behaviors.stopped),
    { name: 'mortal' },
  )
  const watcher = (name: string): Behavior<string> =>
    Behaviors.setup((context) => {
      context.watch(mortal)
      return Behaviors.receive(
        () => Behaviors.same,
        (_, signal: Signal) => {
          if (signal.type === 'terminated') probe.ref.tell(`${name}: ${signal.actor.path}`)
          return Behaviors.same
        },
      )
    })
  system.spawn(watcher('early'))
  await until('the watcher runs', () => system.statistics().actors === 3)
  setTimeout(() => mortal.tell('end'), 5)
  expect(await probe.has(1)).toEqual(['early: /user/mortal'])
  system.spawn(watcher('late'))
  expect(await probe.has(2)).toEqual(['early: /user/mortal', 'late: /user/mortal'])
})

test('tells nothing of an actor that is watched no more', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const mortal = system.spawn<string>(Behaviors.receive(() => Behaviors.stopped))
  const watcher = system.spawn(
    Behaviors.setup<ActorRef<string>>((context) => {
      context.watch(mortal)
      context.unwatch(mortal)
      return Behaviors.receive(
        (_, replyTo) => {
          replyTo.tell('message')
          return Behaviors.same
        },
        (_, { type }) => {
          probe.ref.tell(type)
          return Behaviors.same
        },
      )
    }),
  )
  await system.ask(watcher, (replyTo: ActorRef<string>) => replyTo, 1000)
  mortal.tell('end')
  await until('it has ended', () => system.statistics().actors === 2)
  await system.ask(watcher, (replyTo: ActorRef<string>) => replyTo, 1000)
  expect(probe.seen).toEqual([])
})

test('puts messages aside and takes them up again in order, before what came later', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const ready: Behavior<string> = Behaviors.receive((_, message) => {
    probe.ref.tell(message)
    return Behaviors.same
  })
  const actor = system.spawn<string>(
    Behaviors.receive((context, message) => {
      if (message !== 'ready') {
        context.stash(message)
        return Behaviors.same
      }
      context.unstashAll()
      return ready
    }),
  )
  for (const message of ['a', 'b', 'ready', 'c']) actor.tell(message)
  expect(await probe.has(3)).toEqual(['a', 'b', 'c'])
})

test('puts no more aside than it may', async () => {
  const system = systemForTest({ supervision: { decide: 'stop' } })
  const actor = system.spawn<number>(
    Behaviors.receive((context, message) => {
      context.stash(message)
      return Behaviors.same
    }),
    { stash: 2 },
  )
  for (let i = 0; i < 3; i++) actor.tell(i)
  await until('it has failed', () => system.statistics().failures === 1)
})

test('sends itself messages later, once or again and again, until they are cancelled', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  let beats = 0
  system.spawn(
    Behaviors.setup<string>((context) => {
      context.timers.startPeriodic('beat', 'beat', 2)
      context.timers.startSingle('never', 'never', 1)
      context.timers.cancel('never')
      context.timers.startSingle('once', 'replaced', 0)
      context.timers.startSingle('once', 'once', 1)
      return Behaviors.receive((_, message) => {
        if (message !== 'beat') probe.ref.tell(message)
        else if (++beats === 3) {
          context.timers.cancel('beat')
          probe.ref.tell(`${beats} beats, ${context.timers.isActive('beat')}`)
        }
        return Behaviors.same
      })
    }),
  )
  expect((await probe.has(2)).sort()).toEqual(['3 beats, false', 'once'])
})

test('makes a message of what comes of a promise, and of an answer', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  const echo = system.spawn<{ readonly replyTo: ActorRef<string> }>(
    Behaviors.receive((_, { replyTo }) => {
      replyTo.tell('answer')
      return Behaviors.same
    }),
  )
  system.spawn(
    Behaviors.setup<string>((context) => {
      const text = (outcome: PromiseSettledResult<string>): string =>
        outcome.status === 'fulfilled' ? outcome.value : `failed: ${outcome.reason.message}`
      context.pipeToSelf(Promise.resolve('promised'), text)
      context.pipeToSelf(Promise.reject(new Error('no')), text)
      context.ask(echo, (replyTo: ActorRef<string>) => ({ replyTo }), 1000, text)
      return Behaviors.receive((_, message) => {
        probe.ref.tell(message)
        return Behaviors.same
      })
    }),
  )
  expect((await probe.has(3)).sort()).toEqual(['answer', 'failed: no', 'promised'])
})

test('an ask that nobody answers in time is rejected, and an answer after that is a dead letter', async () => {
  const system = systemForTest()
  const letters: unknown[] = []
  system.onDeadLetter(({ message }) => letters.push(message))
  let late: ActorRef<string> | undefined
  const silent = system.spawn<ActorRef<string>>(
    Behaviors.receive((_, replyTo) => {
      late = replyTo
      return Behaviors.same
    }),
    { name: 'silent' },
  )
  await expect(system.ask(silent, (replyTo: ActorRef<string>) => replyTo, 5)).rejects.toMatchObject({
    code: 'CS_ASK_TIMEOUT',
    message: '/user/silent has not answered within 5 ms',
  })
  late!.tell('too late')
  expect(letters).toEqual(['too late'])
})

test('what an actor did not handle is a dead letter, with the reason', async () => {
  const system = systemForTest()
  const letters: string[] = []
  system.onDeadLetter(({ message, to, reason }) => letters.push(`${message} ${to.path} ${reason}`))
  const actor = system.spawn<string>(
    Behaviors.receive((_, message) => (message === 'end' ? Behaviors.stopped : Behaviors.unhandled)),
    { name: 'a' },
  )
  for (const message of ['?', 'end', 'waits']) actor.tell(message)
  await until('it has ended', () => system.statistics().actors === 0)
  actor.tell('late')
  expect(letters).toEqual(['? /user/a unhandled', 'waits /user/a stopped', 'late /user/a stopped'])
  expect(system.statistics()).toMatchObject({ deadLetters: 3, waiting: 0 })
})

test('who listens to dead letters harms nobody by failing', async () => {
  const system = systemForTest()
  const probe = new Probe<string>(system)
  system.onDeadLetter(() => {
    throw new Error('the listener')
  })
  const actor = system.spawn<string>(
    Behaviors.receive((_, message) => {
      if (message === '?') return Behaviors.unhandled
      probe.ref.tell(message)
      return Behaviors.same
    }),
  )
  for (const message of ['?', 'next']) actor.tell(message)
  expect(await probe.has(1)).toEqual(['next'])
  expect([system.logged, system.statistics().failures]).toEqual([['who listens to dead letters failed'], 0])
})

test('fails, saying what is missing, where a handler gives no behaviour', async () => {
  const errors: unknown[] = []
  const system = systemForTest({
    supervision: { decide: 'stop' },
    log: (_, error) => errors.push(error),
  })
  const actor = system.spawn<string>(Behaviors.receive(() => undefined as never))
  actor.tell('x')
  await until('it has failed', () => errors.length === 1)
  expect(String(errors[0])).toContain('give Behaviors.same to go on')
})

test('takes messages in no more turns than it must: an actor with much to do holds up nobody', async () => {
  const system = systemForTest({ budget: 10 })
  const order: string[] = []
  const actor = (name: string) =>
    system.spawn<number>(
      Behaviors.receive(() => {
        order.push(name)
        return Behaviors.same
      }),
    )
  const [busy, other] = [actor('busy'), actor('other')]
  for (let i = 0; i < 50; i++) busy.tell(i)
  other.tell(0)
  await until('all is handled', () => order.length === 51)
  expect(order.indexOf('other')).toBe(10)
})

test('terminates: everything stops, and nothing can be spawned afterwards', async () => {
  const system = systemForTest()
  const actor = system.spawn<string>(Behaviors.receive(() => Behaviors.same))
  await system.terminate()
  expect(system.statistics().actors).toBe(0)
  actor.tell('late')
  expect(system.statistics().deadLetters).toBe(1)
  expect(() => system.spawn<string>(Behaviors.receive(() => Behaviors.same))).toThrow('terminated')
  expect(await system.terminated).toBeUndefined()
})
