/**
 * Thread pool: one thread accepts, N threads serve, a bounded queue between them.
 *
 *   acceptor: epoll_wait ─▶ accept4, or a parked connection has bytes ─▶ queue.put
 *   worker 1: queue.take ─▶ recv → handler → send ─▶ park ↺
 *   worker N: queue.take ─▶ …                     (a futex wakes the first of them that sleeps)
 *
 * Waits in:      epoll_wait(2) in the acceptor, futex(2) in the workers
 * Shares:        the queue of ready descriptors, the lot where idle connections are parked, the connection table. Of the workers
 *                only as many run as there are processors, unless those block: to wake one more for each short request costs
 *                more than it gains
 * Crash:         one thread, the one connection it served; the host starts another
 * Choose it      for handlers that block or burn CPU, on a few cores; not where handlers mostly await (epoll does more).
 * Differs from   multi-thread: a connection takes a thread only while it has something to do, so N threads serve any number.
 * See:           UNP §30.12; POSA2 §5 (half-sync/half-async); man 7 epoll (EPOLLONESHOT)
 */

import { availableParallelism } from 'node:os'
import {
  Attendant,
  BlockingThread,
  BoundedQueue,
  close,
  Door,
  defineModel,
  HotQueue,
  integer,
  Lot,
  type Model,
  onThread,
  openLot,
  READABLE,
  Workload,
} from '@cs/core'

export interface ThreadPoolOptions {
  /** Threads that run handlers. Default: one for each processor. */
  readonly threads: number
  /** Connections that may wait for a thread; beyond it accepting waits. Default: 1024. */
  readonly waiting: number
}

interface Shared {
  readonly queue: BoundedQueue
  /** Which workers sleep. */
  readonly takers: Int32Array
  /** The epoll on which idle connections are parked. */
  readonly lot: number
  /** What the workers do and how long connections wait for them. */
  readonly workload: Workload
}

/** The most workers there may be. */
const MOST = 1024

/** Bytes of a request that are gathered before it takes a thread: a slow client holds none. */
const GATHER_BYTES = 64 * 1024

/** Milliseconds for which a connection may lie in the queue before another worker is called, beyond one for each processor. */
const PATIENCE_MS = 1

export const threadPool: Model<ThreadPoolOptions> = defineModel<ThreadPoolOptions, Shared>(import.meta, {
  name: 'thread-pool',
  family: 'thread-models',
  summary: 'one thread accepts, N threads serve, a bounded queue between',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'connections are parked with epoll(7), a call of Linux'),
  options: {
    threads: integer('threads that run handlers', { default: availableParallelism(), min: 1, max: MOST }),
    waiting: integer('connections that may wait for a thread', { default: 1024, min: 1, max: 1 << 20 }),
  },
  shared: ({ waiting }) => ({
    queue: BoundedQueue.create(waiting),
    takers: HotQueue.cells(2 * MOST, availableParallelism()),
    workload: Workload.create(2 * MOST),
    lot: openLot(),
  }),
  dispose: ({ lot }) => close(lot),
  statistics: ({ queue, workload }) => {
    const { waitingMs, threads, busy, occupancy } = workload.statistics()
    return {
      queue: { depth: queue.size, capacity: queue.capacity, highWater: queue.statistics().highWater, waitingMs },
      threads: { count: threads, busy, occupancy },
    }
  },
  roles: {
    acceptor: onThread({ handles: false }, ({ listener, shared, service, stop, acceptedLast }) => {
      const queue = new HotQueue(shared.queue, shared.takers)
      const attendant = new Attendant(shared.lot, service, queue)
      const { demux } = attendant
      const door = new Door(listener, demux, service, (fd) => attendant.accepted(fd))
      let draining = false
      let parked = false

      demux.add(stop.fd, READABLE)
      while (!draining || (parked && !stop.forced)) {
        const ready = demux.wait(door.timeout(queue.isHeldBack ? PATIENCE_MS : attendant.timeout(draining)))
        service.tick()
        for (let i = 0; i < ready; i++) {
          const fd = demux.fd(i)
          if (fd === stop.fd) drain()
          else door.takes(fd) || attendant.ready(fd)
        }
        attendant.hand()
        queue.review(service.now, PATIENCE_MS)
        parked = attendant.sweep(draining)
      }
      queue.close()

      function drain(): void {
        draining = true
        demux.remove(stop.fd)
        door.shut()
        acceptedLast()
      }
    }),

    worker: onThread(
      {
        count: ({ threads }) => threads,
        accepts: false,
        gather: GATHER_BYTES,
        resizable: { min: 1, max: MOST },
        population: {
          dismiss: ({ queue, takers }) => new HotQueue(queue, takers).dismiss(),
          forget: ({ queue, takers }, index) => new HotQueue(queue, takers).forget(index),
        },
      },
      async ({ shared, service, index }) => {
        const source = new HotQueue(shared.queue, shared.takers).taker(index)
        const workload = shared.workload.row(index, service.table)
        const lot = new Lot(shared.lot, service)
        const thread = new BlockingThread(service)
        for await (const fd of thread.takenFrom(source, workload)) {
          const connection = lot.enter(fd)
          if (connection !== undefined) lot.leave(connection, await connection.exchange())
        }
        source.leave()
        await thread.finish()
        workload.leave()
      },
    ),
  },
})

export const serve: typeof threadPool.serve = threadPool.serve
