/**
 * The form with workers alone: the reactor accepts and watches, and nothing else; whoever of the workers is free reads, handles and
 * writes, and arms the handle again, for one event. Between two events no thread has the connection.
 *
 *   reactor: handleEvents ─▶ accept, or a handle is ready ─▶ queue      worker: queue ─▶ recv → app → send ─▶ re-arm ↺
 */

import { Attendant, BlockingThread, type BoundedQueue, Lot, onThread, type Workload } from '@cs/core'
import { AcceptHandler } from './accept-handler.js'
import { Reactor } from './reactor.js'
import { StopHandler } from './stop-handler.js'

/** What the reactor and the workers share. */
export interface Watched {
  readonly queue: BoundedQueue
  /** The epoll on which handles are armed. */
  readonly lot: number
  readonly workload: Workload
}

interface Options {
  readonly loops: number
  readonly workers: number
}

type Roles = Record<'reactor' | 'worker', ReturnType<typeof onThread<Options, Partial<Watched>>>>

/** Bytes of a request that are gathered before it takes a worker: a slow client holds none. */
const GATHER_BYTES = 64 * 1024

export const workerRoles: Roles = {
  reactor: onThread(
    { count: ({ loops, workers }) => (loops === 0 && workers > 0 ? 1 : 0), handles: false },
    (context) => {
      const { listener, shared, service, stop, acceptedLast } = context
      const { queue, lot } = shared as Watched
      const attendant = new Attendant(lot, service, queue)
      const reactor = new Reactor({ demultiplexer: attendant.demux, awake: () => service.tick() })
      const acceptor = new AcceptHandler(reactor, listener, service, (fd) => attendant.accepted(fd))
      let draining = false
      let parked = false

      reactor.otherwise = (fd) => attendant.ready(fd) // armed by a worker
      new StopHandler(reactor, stop.fd, drain)
      while (!draining || (parked && !stop.forced)) {
        reactor.handleEvents(acceptor.timeout(attendant.timeout(draining)))
        attendant.hand()
        parked = attendant.sweep(draining)
      }
      queue.close()

      function drain(): void {
        draining = true
        acceptor.shut()
        acceptedLast()
      }
    },
  ),

  worker: onThread(
    { count: ({ loops, workers }) => (loops === 0 ? workers : 0), accepts: false, gather: GATHER_BYTES },
    async ({ shared, service, index }) => {
      const { queue, lot: epfd, workload } = shared as Watched
      const row = workload.row(index, service.table)
      const lot = new Lot(epfd, service)
      const thread = new BlockingThread(service)
      for await (const fd of thread.takenFrom(queue, row)) {
        const connection = lot.enter(fd)
        if (connection !== undefined) lot.leave(connection, await connection.exchange())
      }
      await thread.finish()
      row.leave()
    },
  ),
}
