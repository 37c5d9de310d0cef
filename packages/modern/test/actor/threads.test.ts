import {
  type ActorRef,
  type ActorSystem,
  Behaviors,
  type Dispatcher,
  isSameActor,
  type SpawnOptions,
} from '@cs/modern/actor'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../../../tests/support/random.js'
import { Probe, systemForTest, until } from './probe.js'

const FIXTURES = new URL('../fixtures/actors.mjs', import.meta.url)

interface Echo {
  readonly greeting: string
  readonly message: unknown
  readonly threadId: number
  readonly node: number
}

interface Ask<Answer> {
  readonly message?: unknown
  readonly replyTo: ActorRef<Answer>
}

function spawn<Message>(
  system: ActorSystem,
  name: string,
  args: readonly unknown[],
  options: SpawnOptions,
): ActorRef<Message> {
  return system.spawn(Behaviors.fromModule<Message>(FIXTURES, name, ...args), options)
}

function askEcho(system: ActorSystem, actor: ActorRef<Ask<Echo>>, message: unknown): Promise<Echo> {
  return system.ask(actor, (replyTo: ActorRef<Echo>) => ({ message, replyTo }), 10_000)
}

type Counting = 'add' | 'fail' | 'end' | 'exit' | Ask<number>

function countOf(system: ActorSystem, actor: ActorRef<Counting>): Promise<number> {
  return system.ask(actor, (replyTo: ActorRef<number>) => ({ replyTo }), 10_000)
}

test('reaches actors of other threads by the same reference, and is answered', async () => {
  const system = systemForTest({ threads: 2, pinned: 1 })
  const dispatchers: Dispatcher[] = ['own', 'pool', 'pool', 'pinned']
  const echoes = dispatchers.map((dispatcher) => spawn<Ask<Echo>>(system, 'echo', ['hello'], { dispatcher }))
  const message = {
    list: [1, 'two', null],
    date: new Date(0),
    bytes: new Uint8Array([1, 2, 3]),
    map: new Map([[1, 2]]),
  }
  const answers = await Promise.all(echoes.map((echo) => askEcho(system, echo, message)))
  for (const answer of answers) expect(answer).toMatchObject({ greeting: 'hello', message })
  expect(answers[0].node).toBe(0)
  expect(answers[3].node).toBe(3)
  expect(new Set(answers.map(({ threadId }) => threadId)).size).toBeGreaterThanOrEqual(3)
})

test('a message to another thread is a copy as of when it was sent', async () => {
  const system = systemForTest({ threads: 1 })
  const echo = spawn<Ask<Echo>>(system, 'echo', [], { dispatcher: 'pool' })
  const message = { n: 1, bytes: new Uint8Array([1]) }
  const answer = askEcho(system, echo, message)
  message.n = 2
  message.bytes[0] = 2
  expect((await answer).message).toEqual({ n: 1, bytes: new Uint8Array([1]) })
})

test('messages between two actors keep their order across threads, and none is lost', async () => {
  const random = seededRandom('order across threads')
  const system = systemForTest({ threads: 1, pinned: 1 })
  const probe = new Probe<number>(system)
  const last = spawn<unknown>(system, 'relay', [probe.ref], { dispatcher: 'pool' })
  const first = spawn<unknown>(system, 'relay', [last], { dispatcher: 'pinned' })
  let sent = 0
  while (sent < 20_000) {
    for (let burst = Math.floor(random() * 500); burst > 0 && sent < 20_000; burst--) first.tell(sent++)
    if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await probe.has(20_000)).toEqual(Array.from({ length: 20_000 }, (_, n) => n))
})

test('messages of many senders to one receiver arrive whole, each in the order of its sender', async () => {
  const random = seededRandom('many senders')
  const system = systemForTest({ threads: 2 })
  const seen: { from: number; n: number; text: string }[] = []
  const receiver = system.spawn<(typeof seen)[number]>(
    Behaviors.receive((_, message) => {
      seen.push(message)
      return Behaviors.same
    }),
  )
  const relays = [0, 1, 2, 3].map(() => spawn<unknown>(system, 'relay', [receiver], { dispatcher: 'pool' }))
  const next = [0, 0, 0, 0]
  for (let i = 0; i < 4000; i++) {
    const from = Math.floor(random() * 4)
    // Some are larger than a record, which go in pieces.
    const text = 'x'.repeat(random() < 0.01 ? 200_000 : Math.floor(random() * 100))
    relays[from].tell({ from, n: next[from]++, text })
    if (random() < 0.01) await new Promise((resolve) => setImmediate(resolve))
  }
  await until('all have come', () => seen.length === 4000)
  for (let from = 0; from < 4; from++) {
    expect(seen.filter((each) => each.from === from).map(({ n }) => n)).toEqual(
      Array.from({ length: next[from] }, (_, n) => n),
    )
  }
})

test('a sender waits where the mailbox of an actor on another thread is full', async () => {
  const system = systemForTest({ threads: 1 })
  const probe = new Probe<number>(system)
  const slow = spawn<number>(system, 'slow', [probe.ref, 0.5], { dispatcher: 'pool', mailbox: { capacity: 10 } })
  const handledBefore: number[] = []
  const sender = system.spawn<number>(
    Behaviors.receive((_, count) => {
      handledBefore.push(probe.seen.length)
      for (let n = 0; n < count; n++) slow.tell(n)
      return Behaviors.same
    }),
  )
  sender.tell(100)
  await probe.has(1) // and before that has come word that the mailbox is full
  for (let i = 0; i < 2; i++) sender.tell(1)
  expect(await probe.has(102)).toHaveLength(102)
  expect(handledBefore[2]).toBeGreaterThanOrEqual(95)
})

describe('refuses to send', () => {
  class Money {
    amount = 1
  }
  const circle: Record<string, unknown> = {}
  circle.self = circle
  test.each([
    ['a function', { order: { items: [{ price: () => 1 }] } }, 'message.message.order.items[0].price is a function'],
    ['a symbol', [Symbol('x')], 'message.message[0] is a symbol'],
    ['an instance of a class', { total: new Money() }, 'message.message.total is an instance of Money'],
    ['itself', circle, 'message.message.self is a circular reference'],
    ['shared memory', new SharedArrayBuffer(8), 'message.message is a SharedArrayBuffer'],
    ['a promise', { when: Promise.resolve() }, 'message.message.when is an instance of Promise'],
  ])('%s, naming the field', (_, message, error) => {
    const system = systemForTest({ threads: 1 })
    const probe = new Probe<Echo>(system)
    const echo = spawn<Ask<Echo>>(system, 'echo', [], { dispatcher: 'pool' })
    expect(() => echo.tell({ message, replyTo: probe.ref })).toThrow(error)
  })

  test('a behaviour that is a function', () => {
    const system = systemForTest({ threads: 1 })
    const behavior = Behaviors.receive<string>(() => Behaviors.same)
    expect(() => system.spawn(behavior, { dispatcher: 'pool' })).toThrow('use Behaviors.fromModule')
  })

  test('actors where there is no thread for them', () => {
    const system = systemForTest({ threads: 1, pinned: 1 })
    spawn(system, 'counter', [], { dispatcher: 'pinned' })
    expect(() => spawn(system, 'counter', [], { dispatcher: 'pinned' })).toThrow('`pinned`')
    expect(() => spawn(systemForTest(), 'counter', [], { dispatcher: 'pool' })).toThrow('`threads`')
  })
})

test('supervises children on other threads', async () => {
  const system = systemForTest({ threads: 1 })
  const counter = spawn<Counting>(system, 'counter', [], { dispatcher: 'pool' })
  counter.tell('add')
  expect(await countOf(system, counter)).toBe(1)
  counter.tell('fail')
  counter.tell('add')
  counter.tell('add')
  expect(await countOf(system, counter)).toBe(2)
  expect(system.logged).toEqual(['/user/$1 failed'])
})

test('an actor whose thread ends is restarted with a new thread, under the same reference', async () => {
  const system = systemForTest({ threads: 1, pinned: 1 })
  for (const dispatcher of ['pool', 'pinned'] as const) {
    const counter = spawn<Counting>(system, 'counter', [], { dispatcher })
    counter.tell('add')
    expect(await countOf(system, counter)).toBe(1)
    counter.tell('exit')
    await until('its thread has ended', () => system.logged.some((line) => line.startsWith(counter.path)))
    expect(await countOf(system, counter)).toBe(0)
  }
})

test('an actor whose thread ends stays dead where its supervisor says so, and watchers are told', async () => {
  const system = systemForTest({ threads: 1, supervision: { decide: 'stop' } })
  const probe = new Probe<string>(system)
  const counter = spawn<Counting>(system, 'counter', [], { dispatcher: 'pool' })
  system.spawn(
    Behaviors.setup<never>((context) => {
      context.watch(counter)
      return Behaviors.receive(
        () => Behaviors.same,
        (_, signal) => {
          if (signal.type === 'terminated') probe.ref.tell(String(signal.error))
          return Behaviors.same
        },
      )
    }),
  )
  expect(await countOf(system, counter)).toBe(0)
  counter.tell('exit')
  expect(await probe.has(1)).toEqual(['Error: thread 1 of the actors has ended'])
})

test('a pinned actor that ends gives its thread back', async () => {
  const system = systemForTest({ pinned: 1 })
  for (let i = 0; i < 3; i++) {
    let counter: ActorRef<Counting> | undefined
    await until('a thread is free', () => {
      try {
        counter = spawn(system, 'counter', [], { dispatcher: 'pinned' })
        return true
      } catch {
        return false
      }
    })
    expect(await countOf(system, counter!)).toBe(0)
    counter!.tell('end')
  }
})

test('actors on other threads have children on yet others, and hear of their end', async () => {
  const system = systemForTest({ threads: 1, pinned: 1 })
  const probe = new Probe<{ child?: ActorRef<Counting>; ended?: string }>(system)
  spawn(system, 'parent', [FIXTURES.href, 'pinned', probe.ref], { dispatcher: 'pool', name: 'parent' })
  const [{ child }] = await probe.has(1)
  expect([child!.node, child!.path]).toEqual([2, '/user/parent/$1'])
  expect(await countOf(system, child!)).toBe(0)
  child!.tell('end')
  expect((await probe.has(2))[1]).toEqual({ ended: '/user/parent/$1' })
})

test('fails, saying why, where the module has no such function', async () => {
  const errors: unknown[] = []
  const system = systemForTest({ threads: 1, supervision: { decide: 'stop' }, log: (_, error) => errors.push(error) })
  spawn(system, 'nowhere', [], { dispatcher: 'pool' })
  spawn(system, 'notAFunction', [], { dispatcher: 'own' })
  await until('both have failed', () => errors.length === 2)
  expect(errors.map(String).sort()).toEqual([
    expect.stringMatching(/exports no function notAFunction/),
    expect.stringMatching(/exports no function nowhere/),
  ])
})

test('an address that went to another thread and back is still that of the same actor', async () => {
  const system = systemForTest({ threads: 1 })
  const echo = spawn<Ask<Echo>>(system, 'echo', [], { dispatcher: 'pool' })
  const own = new Probe<string>(system).ref
  const { message } = await askEcho(system, echo, { own, echo })
  const back = message as { own: ActorRef<never>; echo: ActorRef<never> }
  expect(back.own).toBe(own)
  expect(isSameActor(back.echo, echo)).toBe(true)
  expect(isSameActor(back.echo, own)).toBe(false)
})

test('terminates all threads', async () => {
  const system = systemForTest({ threads: 2, pinned: 1 })
  const counters = (['pool', 'pool', 'pinned'] as const).map((dispatcher) =>
    spawn<Counting>(system, 'counter', [], { dispatcher }),
  )
  for (const counter of counters) expect(await countOf(system, counter)).toBe(0)
  await system.terminate()
  counters[0].tell('add')
})
