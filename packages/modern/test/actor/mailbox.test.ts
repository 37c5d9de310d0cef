import { type ActorRef, type ActorSystem, Behaviors, MailboxFullError, type WhenFull } from '@cs/modern/actor'
import { expect, test } from 'vitest'
import { seededRandom } from '../../../../tests/support/random.js'
import { systemForTest, until } from './probe.js'

/** An actor with room for so many messages, that keeps what it handles. */
function keeper(system: ActorSystem, capacity: number, whenFull: WhenFull, seen: number[]): ActorRef<number> {
  return system.spawn<number>(
    Behaviors.receive((_, n) => {
      seen.push(n)
      return Behaviors.same
    }),
    { name: 'keeper', mailbox: { capacity, whenFull } },
  )
}

test('drops the newest where there is no room', async () => {
  const system = systemForTest()
  const [seen, letters]: [number[], unknown[]] = [[], []]
  system.onDeadLetter(({ message, reason }) => letters.push(`${message} ${reason}`))
  const actor = keeper(system, 3, 'drop-newest', seen)
  for (let n = 0; n < 5; n++) actor.tell(n)
  await until('all are handled', () => seen.length === 3)
  expect({ seen, letters }).toEqual({ seen: [0, 1, 2], letters: ['3 dropped', '4 dropped'] })
})

test('drops the oldest where there is no room', async () => {
  const system = systemForTest()
  const [seen, letters]: [number[], unknown[]] = [[], []]
  system.onDeadLetter(({ message }) => letters.push(message))
  const actor = keeper(system, 3, 'drop-oldest', seen)
  for (let n = 0; n < 5; n++) actor.tell(n)
  await until('all are handled', () => seen.length === 3)
  expect({ seen, letters }).toEqual({ seen: [2, 3, 4], letters: [0, 1] })
  expect(system.statistics().waiting).toBe(0)
})

test('fails where there is no room, and the sender still has its message', async () => {
  const system = systemForTest()
  const seen: number[] = []
  const actor = keeper(system, 2, 'fail', seen)
  actor.tell(0)
  actor.tell(1)
  expect(() => actor.tell(2)).toThrow(MailboxFullError)
  expect(() => actor.tell(2)).toThrow('the mailbox of /user/keeper is full: 2 messages wait')
  await until('all are handled', () => seen.length === 2)
})

test('blocks a sender until there is room: the mailbox never holds more than it may and what one message sends', async () => {
  const system = systemForTest()
  const seen: number[] = []
  const actor = keeper(system, 10, 'block', seen)
  system.spawn(
    Behaviors.setup<number>((context) => {
      context.self.tell(0)
      return Behaviors.receive((_, n) => {
        for (let i = 0; i < 5; i++) actor.tell(n + i)
        if (n + 5 < 1000) context.self.tell(n + 5)
        return Behaviors.same
      })
    }),
  )
  await until('all are handled', () => seen.length === 1000)
  expect(seen).toEqual(Array.from({ length: 1000 }, (_, n) => n))
  expect(system.statistics().deepest).toBeLessThanOrEqual(15)
})

test('refuses code outside of actors where senders block, and has it wait by offer', async () => {
  const system = systemForTest()
  const seen: number[] = []
  const actor = keeper(system, 2, 'block', seen)
  actor.tell(0)
  actor.tell(1)
  expect(() => actor.tell(2)).toThrow('await offer()')
  for (let n = 2; n < 100; n++) await actor.offer(n)
  await until('all are handled', () => seen.length === 100)
  expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => n))
  expect(system.statistics().deepest).toBeLessThanOrEqual(2)
})

test('a sender that waits goes on when the actor that is full stops', async () => {
  const system = systemForTest()
  const full = system.spawn<string>(
    Behaviors.receive(async () => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return Behaviors.stopped
    }),
    { mailbox: { capacity: 1 } },
  )
  const sender = system.spawn<ActorRef<string>>(
    Behaviors.receive((_, replyTo) => {
      for (let i = 0; i < 3; i++) full.tell('x')
      replyTo.tell('sent')
      return Behaviors.same
    }),
  )
  const answers = [1, 2].map(() => system.ask(sender, (replyTo: ActorRef<string>) => replyTo, 5000))
  expect(await Promise.all(answers)).toEqual(['sent', 'sent'])
})

test('a circle of actors whose mailboxes are all full comes round', async () => {
  const system = systemForTest()
  const random = seededRandom('circle')
  const refs: ActorRef<number>[] = []
  let ended = 0
  for (let i = 0; i < 5; i++) {
    const member = Behaviors.receive<number>((_, hops) => {
      if (hops === 0) ended++
      else refs[Math.floor(random() * refs.length)].tell(hops - 1)
      return Behaviors.same
    })
    refs.push(system.spawn(member, { mailbox: { capacity: 1 + Math.floor(random() * 3) } }))
  }
  system.spawn(
    Behaviors.setup<number>((context) => {
      context.self.tell(200)
      return Behaviors.receive((_, left) => {
        for (const ref of refs) ref.tell(100)
        if (left === 1) return Behaviors.stopped
        context.self.tell(left - 1)
        return Behaviors.same
      })
    }),
  )
  await until('all messages have gone their way', () => ended === 1000)
})

test.each([
  [{ capacity: -1 }, 'capacity'],
  [{ capacity: 1.5 }, 'capacity'],
  [{ capacity: 1, whenFull: 'explode' as WhenFull }, 'whenFull'],
])('refuses %j', (mailbox, word) => {
  const system = systemForTest()
  expect(() =>
    system.spawn<number>(
      Behaviors.receive(() => Behaviors.same),
      { mailbox },
    ),
  ).toThrow(word)
})
