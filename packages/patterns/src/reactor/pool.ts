/**
 * The form with loops and workers: the loops do all I/O, and requests cross to the workers, which run handlers and touch no socket.
 * A handler that blocks or computes stalls no client but its own, and a slow client holds no worker.
 *
 *   acceptor: accept ─▶ deal      io 1 … N: handleEvents ─▶ recv, parse ─▶ request ─▶ queue     handler 1 … M: queue ─▶ app ─▶ reply
 *                                           handleEvents ◀─ wakeup ◀─────────────────────────────────────────────────────┘
 */

import { Answerer, BlockingThread, Caller, ConnectionSet, type Crossing, onThread, type Workload } from '@cs/core'
import type { Handover } from './handover.js'
import { InboxHandler } from './inbox-handler.js'
import { Reactor } from './reactor.js'
import { Gate, GatedHandler, ReplyHandler } from './reply-handler.js'
import { StopHandler } from './stop-handler.js'

/** What the loops and the workers share. */
export interface Pool {
  readonly crossing: Crossing
  readonly workload: Workload
  /** A cell for each loop: 1 once it has ended in order. */
  readonly ended: Int32Array
}

interface Options {
  readonly loops: number
  readonly workers: number
}

interface Shared extends Partial<Pool> {
  readonly handover?: Handover
}

type Roles = Record<'io' | 'handler', ReturnType<typeof onThread<Options, Shared>>>

/** Bytes of a request that are gathered before it crosses: most cross whole. */
const GATHER_BYTES = 64 * 1024

export const poolRoles: Roles = {
  io: onThread(
    {
      count: ({ loops, workers }) => (workers > 0 ? loops : 0),
      handles: false,
      accepts: false,
      readsAhead: true,
      gather: GATHER_BYTES,
    },
    async ({ options, shared, service, stop, owned, index }) => {
      const { handover, crossing, ended } = shared as Required<Shared>
      const caller = new Caller(crossing, index, service) // what a connection takes for the app
      const reactor = owned(new Reactor({ ...options, awake }))
      const connections = new ConnectionSet(service, (fd) => reactor.closed(fd))
      const gate = new Gate(caller)
      const inbox = new InboxHandler(reactor, handover, index, service, (fd) => {
        new GatedHandler(reactor, connections, connections.take(fd), gate)
      })

      new ReplyHandler(reactor, crossing.wakeupOf(index))
      new StopHandler(reactor, stop.fd, () => connections.drain())
      while (inbox.isOpen || connections.size > 0) {
        reactor.handleEvents(caller.lieDown(connections.timeout))
        caller.receive() // calls onProgress of those whose answers came
        gate.open()
        if (stop.forced) abandon()
        connections.sweep()
        handover.hold(index, connections.size)
        await caller.settle()
      }
      Atomics.store(ended, index, 1) // so that the last of them sees that it is
      if (ended.every((_, loop) => Atomics.load(ended, loop) === 1)) crossing.close()
      reactor.close()

      function awake(): void {
        caller.rise()
        service.tick()
      }

      function abandon(): void {
        inbox.abandon()
        connections.closeAll()
      }
    },
  ),

  handler: onThread(
    {
      count: ({ loops, workers }) => (loops > 0 ? workers : 0),
      accepts: false,
      population: {
        dismiss: ({ crossing }) => crossing!.dismiss(),
        forget: ({ crossing }, index) => crossing!.forget(index),
      },
    },
    async ({ shared, service, stop, index }) => {
      const { crossing, workload } = shared as Pool
      const row = workload.row(index, service.table)
      const answerer = new Answerer(crossing, index, service, row)
      const thread = new BlockingThread(service)
      while (!stop.forced) {
        if (answerer.takes()) {
          if (thread.isLate) await thread.breathe()
          else if (answerer.pending > 0) await answerer.settle()
        } else if (answerer.isDone) break
        else if (answerer.pending > 0) await answerer.sleepInLoop()
        else if (!answerer.sleep(thread.patience)) await thread.breathe()
      }
      answerer.close()
      await thread.finish()
      row.leave()
    },
  ),
}
