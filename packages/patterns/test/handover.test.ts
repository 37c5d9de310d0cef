import { Worker } from 'node:worker_threads'
import { Service } from '@cs/core'
import { ACCEPTED } from '@cs/core/connection'
import { close, socketpair } from '@cs/core/posix'
import { QUEUED } from '@cs/core/socket'
import { dehydrate, hydrate } from '@cs/core/sync'
import { type Deal, Dealer, Handover, InboxHandler, Reactor } from '@cs/patterns/reactor'
import { describe, expect, it, onTestFinished } from 'vitest'

const app = { fetch: () => new Response() }

function handoverTo(loops: number, waiting = 8): Handover {
  const handover = Handover.create(loops, waiting)
  onTestFinished(() => handover.dispose())
  return handover
}

/** A descriptor that may be handed over. */
function descriptor(): number {
  const [fd, other] = socketpair({ nonblocking: true })
  close(other)
  onTestFinished(() => void close(fd))
  return fd
}

function dealerOf(handover: Handover, deal: Deal): { dealer: Dealer; service: Service } {
  const service = new Service({ app })
  return { dealer: new Dealer(handover, deal, service), service }
}

/** What waits for each loop. */
function loadsOf(handover: Handover): number[] {
  return Array.from({ length: handover.loops }, (_, loop) => handover.loadOf(loop))
}

describe('a dealer', () => {
  it('deals in turn', () => {
    const handover = handoverTo(3)
    const { dealer, service } = dealerOf(handover, 'round-robin')
    const fds = Array.from({ length: 7 }, descriptor)
    for (const fd of fds) dealer.give(fd)
    expect(loadsOf(handover)).toEqual([3, 2, 2])
    expect(fds.map((fd) => service.table.owner(fd))).toEqual(Array(7).fill(QUEUED))
    expect(service.counters[ACCEPTED]).toBe(7)
  })

  it('deals to the loop that has the fewest, those that wait for it included', () => {
    const handover = handoverTo(3)
    const { dealer } = dealerOf(handover, 'least-busy')
    handover.hold(0, 4)
    handover.hold(1, 1)
    for (let i = 0; i < 5; i++) dealer.give(descriptor())
    expect(loadsOf(handover)).toEqual([4, 3, 3])
  })

  it('deals to the next loop where one has no room', () => {
    const handover = handoverTo(2, 1)
    const { dealer } = dealerOf(handover, 'round-robin')
    const [a, b, c] = Array.from({ length: 3 }, descriptor)
    dealer.give(a)
    dealer.give(b)
    expect(handover.take(1)).toBe(b)
    dealer.give(c) // it is the turn of loop 0, which is full
    expect([handover.take(0), handover.take(1)]).toEqual([a, c])
  })

  it('wakes the loops that it gave something, and no other', () => {
    const handover = handoverTo(2)
    const { dealer } = dealerOf(handover, 'round-robin')
    dealer.give(descriptor())
    dealer.signal()
    expect([handover.wakeupOf(0).drain(), handover.wakeupOf(1).drain()]).toEqual([true, false])
  })
})

describe('an inbox', () => {
  it('opens what was put, once it is the thread’s, in order', () => {
    const handover = handoverTo(1)
    const { dealer, service } = dealerOf(handover, 'round-robin')
    const reactor = new Reactor()
    onTestFinished(() => reactor.close())
    const opened: number[] = []
    const inbox = new InboxHandler(reactor, handover, 0, service, (fd) => opened.push(fd))
    const fds = Array.from({ length: 3 }, descriptor)
    for (const fd of fds) dealer.give(fd)
    expect(reactor.handleEvents(0)).toBe(0)
    dealer.signal()
    expect(reactor.handleEvents(0)).toBe(1)
    expect(opened).toEqual(fds)
    expect(fds.map((fd) => service.table.owner(fd))).toEqual(Array(3).fill(service.owner))
    expect(inbox.isOpen).toBe(true)
    handover.close()
    reactor.handleEvents(0)
    expect(inbox.isOpen).toBe(false)
  })

  it('opens what waited for another that died', () => {
    const handover = handoverTo(1)
    const { dealer, service } = dealerOf(handover, 'round-robin')
    const fd = descriptor()
    dealer.give(fd)
    dealer.signal()
    handover.wakeupOf(0).drain() // as the dead thread did before it could look
    const reactor = new Reactor()
    onTestFinished(() => reactor.close())
    const opened: number[] = []
    new InboxHandler(reactor, handover, 0, service, (each) => opened.push(each))
    expect(opened).toEqual([fd])
  })
})

describe('a handover', () => {
  it('travels', () => {
    const handover = handoverTo(2)
    const other = hydrate<Handover>(structuredClone(dehydrate(handover)))
    handover.tryPut(1, 7)
    handover.hold(0, 5)
    expect([other.loadOf(0), other.take(1), other.take(0)]).toEqual([5, 7, 'empty'])
    handover.signal(0)
    expect(other.wakeupOf(0).drain()).toBe(true)
  })

  it('blocks whoever puts where there is no room, until it is closed', async () => {
    const handover = handoverTo(1, 1)
    handover.tryPut(0, 1)
    const worker = new Worker(new URL('./fixtures/putter.mjs', import.meta.url), {
      workerData: dehydrate({ handover }),
    })
    onTestFinished(async () => void (await worker.terminate()))
    const said = (): Promise<unknown> => new Promise((resolve) => worker.once('message', resolve))
    expect(await said()).toBe('full')
    const outcome = said()
    handover.close()
    expect(await outcome).toBe(false)
    expect([handover.take(0), handover.take(0)]).toEqual([1, 'closed'])
  })
})
