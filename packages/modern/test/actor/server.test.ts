import { Connection, Service } from '@cs/core'
import { close, socketpair } from '@cs/core/posix'
import { dehydrate, hydrate } from '@cs/core/sync'
import { ActorSystem, Behaviors } from '@cs/modern/actor'
import { expect, onTestFinished, test } from 'vitest'
import { acceptor, give } from '../../dist/actor/server/behaviors.js'
import { Loads } from '../../dist/actor/server/loads.js'

test('loads: gives to whoever has the fewest, of equals to the next in turn', () => {
  const loads = Loads.create(3)
  expect([0, 1, 2, 3].map(() => loads.give())).toEqual([0, 1, 2, 0])
  loads.take(0)
  expect(loads.loadOf(0)).toBe(2) // it took one, though it has not told so yet, and has one on its way
  loads.hold(0, 1)
  expect(loads.loadOf(0)).toBe(2)
  loads.take(0)
  loads.hold(0, 0) // both are gone
  expect([loads.give(), loads.give()]).toEqual([0, 1])
})

test('loads: are the same from another side, and outlive a worker', () => {
  const loads = Loads.create(2)
  const other = hydrate<{ loads: Loads }>(dehydrate({ loads })).loads
  loads.give()
  other.hold(0, 5)
  expect([loads.loadOf(0), other.loadOf(0)]).toEqual([6, 6])
  const system = new ActorSystem({ manual: true })
  for (let life = 0; life < 2; life++) {
    const record = other.recorder(system)
    system.spawn<string>(Behaviors.receive(() => Behaviors.stopped)).tell('end')
    system.turn()
    record()
  }
  expect(loads.statistics().mailboxes.messages).toBe(1 + 2) // what the first life did, and all of the second's system
})

test('acceptor: accepts no more while too many are on their way, and again when a worker says so', () => {
  const system = new ActorSystem({ manual: true })
  const service = new Service({ app: { fetch: () => new Response() } })
  const loads = Loads.create(1)
  const interests: number[] = []
  const told: (number | 'last')[] = []
  const worker = system.spawn<number | 'last'>(
    Behaviors.receive((_, message) => {
      told.push(message)
      return Behaviors.same
    }),
  )
  const takes = (): boolean => {
    const [fd, other] = socketpair({ nonblocking: true })
    onTestFinished(() => void [fd, other].map(close))
    give(service, fd, loads, [worker])
    return true
  }
  let isShut = false
  const accepting = system.spawn(
    acceptor({
      door: { takes, shut: () => void (isShut = true) },
      listenerFd: 3,
      demux: { modify: (_, interest) => void interests.push(interest) },
      loads,
      workers: [worker],
      waiting: 2,
      acceptedLast: () => {},
    }),
  )
  const tell = (message: 'ready' | 'relieved' | 'stop'): void => {
    accepting.tell(message)
    system.turn()
  }
  tell('ready')
  expect(interests).toEqual([])
  tell('ready')
  expect(interests).toEqual([0])
  loads.take(0)
  expect([loads.takesUp(), loads.takesUp()]).toEqual([true, false]) // told once
  tell('relieved')
  expect(interests).toEqual([0, 1])
  tell('stop')
  expect({ isShut, told: told.length, last: told.at(-1) }).toEqual({ isShut: true, told: 3, last: 'last' })
  const claimed = told.slice(0, 2).map((fd) => Connection.claim(service, fd as number))
  expect(claimed.every((connection) => connection !== undefined)).toBe(true)
})
