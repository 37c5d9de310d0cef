/**
 * What a message costs: between two actors on one thread and on two, in a stream and to and fro, beside MessagePort, which is what
 * Node has between threads.
 */

import { Worker } from 'node:worker_threads'
import { type ActorRef, ActorSystem, Behaviors } from '@cs/modern/actor'
import { median } from '../report.js'
import type { Ball, Item } from './receivers.js'

/** What was measured of one way to send messages. */
export interface MessageFigures {
  readonly way: string
  /** Messages that were sent in a round. */
  readonly count: number
  /** Messages a second: the median over the rounds, the lowest and the highest. */
  readonly rate: number
  readonly lowest: number
  readonly highest: number
}

export interface MessageSettings {
  /** Messages of a stream in one round; a tenth of it go to and fro, a hundredth across threads. Default: 1,000,000. */
  readonly count?: number
  /** Default: 5. */
  readonly rounds?: number
}

/** A way to send messages: how large a part of the count is sent that way, and a round of it. */
interface Way {
  readonly name: string
  readonly part: number
  send(count: number): Promise<void>
}

/** Messages a sender tells before others get their turn. */
const BURST = 100

/** Messages that wait at the receiver of a stream at most. */
const CAPACITY = 1000

const RECEIVERS = new URL('./receivers.js', import.meta.url)

/** Measures all ways, interleaved over the rounds, after one round that does not count. */
export async function measureMessages(settings: MessageSettings = {}): Promise<readonly MessageFigures[]> {
  const { count = 1_000_000, rounds = 5 } = settings
  const system = new ActorSystem({ threads: 1 })
  const worker = new Worker(RECEIVERS)
  const ways = [
    stream(system, 'actors, one thread, a stream', 'own'),
    pingPong(system, 'actors, one thread, to and fro', 'own', 0.1),
    stream(system, 'actors, two threads, a stream', 'pool'),
    pingPong(system, 'actors, two threads, to and fro', 'pool', 0.01),
    ports(worker),
  ]
  const rates = ways.map((): number[] => [])
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const [i, { part, send }] of ways.entries()) {
        const start = performance.now()
        await send(count * part)
        const rate = (count * part * 1000) / (performance.now() - start)
        if (round > 0) rates[i]?.push(rate)
      }
    }
  } finally {
    await Promise.all([system.terminate(), worker.terminate()])
  }
  return ways.map(({ name, part }, i) => {
    const all = rates[i] as number[]
    return { way: name, count: count * part, rate: median(all), lowest: Math.min(...all), highest: Math.max(...all) }
  })
}

/** The figures as lines of cells, the headings first. */
export function tableOfMessages(figures: readonly MessageFigures[]): readonly (readonly string[])[] {
  const lines = figures.map(({ way, count, rate, lowest, highest }) => [
    way,
    count.toFixed(0),
    rate.toFixed(0),
    `${lowest.toFixed(0)}-${highest.toFixed(0)}`,
  ])
  return [['messages', 'sent', 'a second', 'lowest-highest'], ...lines]
}

/** One actor tells another, whose mailbox is bounded, so many small objects. */
function stream(system: ActorSystem, name: string, dispatcher: 'own' | 'pool'): Way {
  const send = (count: number): Promise<void> =>
    new Promise((resolve) => {
      const counting = Behaviors.fromModule<Item>(RECEIVERS, 'counting')
      const receiver = system.spawn(counting, { dispatcher, mailbox: { capacity: CAPACITY } })
      system.spawn(
        Behaviors.setup<'go' | 'done'>(({ self }) => {
          let sent = 0
          self.tell('go')
          return Behaviors.receive((_, message) => {
            if (message === 'done') {
              resolve()
              return Behaviors.stopped
            }
            for (let i = 0; i < BURST && sent < count; i++) receiver.tell({ n: ++sent, text: 'an item' })
            if (sent < count) self.tell('go')
            else receiver.tell({ end: self })
            return Behaviors.same
          })
        }),
      )
    })
  return { name, part: 1, send }
}

/** Two actors pass a message to and fro, one at a time. */
function pingPong(system: ActorSystem, name: string, dispatcher: 'own' | 'pool', part: number): Way {
  const send = (count: number): Promise<void> =>
    new Promise((resolve) => {
      const other: ActorRef<Ball> = system.spawn(Behaviors.fromModule<Ball>(RECEIVERS, 'returning'), { dispatcher })
      system.spawn(
        Behaviors.setup<Ball>(({ self }) => {
          other.tell({ n: 1, from: self })
          return Behaviors.receive((_, { n }) => {
            if (n < count) {
              other.tell({ n: n + 1, from: self })
              return Behaviors.same
            }
            system.stop(other)
            resolve()
            return Behaviors.stopped
          })
        }),
      )
    })
  return { name, part, send }
}

/** The stream again, without actors. */
function ports(worker: Worker): Way {
  const send = (count: number): Promise<void> =>
    new Promise((resolve) => {
      worker.once('message', () => resolve())
      for (let n = 1; n <= count; n++) worker.postMessage({ n, text: 'an item' })
      worker.postMessage('end')
    })
  return { name: 'MessagePort, two threads, a stream', part: 0.1, send }
}
