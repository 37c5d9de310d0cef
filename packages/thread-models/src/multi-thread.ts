/**
 * Multi-thread: one thread accepts, and each connection has a thread of its own until it closes.
 *
 *   acceptor: epoll_wait ─▶ accept4, while there is or can be a thread for it ─▶ queue.put
 *   conn 1: queue.take ─▶ recv → handler → send ↺ until the client has no more ─▶ close ─▶ parked ↺
 *   conn N: queue.take ─▶ …                              (started ahead of need; after a while without need they end)
 *
 * Waits in:      epoll_wait(2) in the acceptor; recv(2), send(2), poll(2) with a client; futex(2) in parked threads
 * Shares:        the queue of accepted descriptors, the roster of threads, the connection table
 * Crash:         one thread and its one connection; the host starts another
 * Choose it      for handlers that block for long, and a few hundred clients; not with thousands of idle ones: each holds a thread.
 * Differs from   thread-pool: the thread stays with its connection, also while that is idle, and every call just blocks.
 * See:           UNP §26.4, §30.10; man 7 pthreads
 */

import { availableParallelism } from 'node:os'
import {
  BlockingThread,
  BoundedQueue,
  Connection,
  defineModel,
  EpollDemultiplexer,
  HotQueue,
  integer,
  limitWaits,
  type Model,
  milliseconds,
  onThread,
  READABLE,
  Workload,
} from '@cs/core'
import { Acceptor } from './multi-thread/acceptor.js'
import { Recruiter } from './multi-thread/recruiter.js'
import {
  closeRoster,
  countsOf,
  firstThreads,
  isAwaited,
  isCrowded,
  openRoster,
  population,
  type Roster,
  threadLimit,
} from './multi-thread/roster.js'
import { Seat } from './multi-thread/seat.js'

export interface MultiThreadOptions {
  /** The most threads, and so connections, at once; beyond it clients wait in the backlog. Default: 256. */
  readonly threads: number
  /** Threads kept free for the next connections; 0: each connection has a new thread made, which ends with it. Default: 8. */
  readonly spare: number
  /** Time in ms without need after which threads beyond `spare` end; 0: never. Default: 5 s. */
  readonly spareTimeout: number
}

interface Shared {
  readonly queue: BoundedQueue
  /** Which threads are parked on the queue. */
  readonly takers: Int32Array
  readonly roster: Roster
  readonly workload: Workload
}

export const multiThread: Model<MultiThreadOptions> = defineModel<MultiThreadOptions, Shared>(import.meta, {
  name: 'multi-thread',
  family: 'thread-models',
  summary: 'each connection a thread of its own, threads parked between connections',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'the acceptor waits in epoll_wait(2), a call of Linux'),
  options: {
    threads: integer('threads, and so connections, at once', { default: 256, min: 1, max: 4096 }),
    spare: integer('threads kept free; 0: a new one for each connection', { default: 8, max: 4096 }),
    spareTimeout: milliseconds('time without need after which threads beyond `spare` end', { default: 5000 }),
  },
  shared: (options) => ({
    queue: BoundedQueue.create(options.threads),
    takers: HotQueue.cells(2 * options.threads, availableParallelism()),
    roster: openRoster(options),
    workload: Workload.create(2 * options.threads),
  }),
  dispose: ({ roster }) => closeRoster(roster),
  statistics: ({ queue, takers, roster, workload }) => {
    const { waitingMs, busy, occupancy } = workload.statistics()
    const { threads, spare } = countsOf(roster)
    return {
      queue: { depth: queue.size, highWater: queue.statistics().highWater, waitingMs },
      threads: {
        count: threads,
        limit: roster.limit,
        spare,
        parked: new HotQueue(queue, takers).sleeping,
        busy,
        occupancy,
      },
    }
  },
  roles: {
    acceptor: onThread({ handles: false }, ({ listener, shared, options, service, stop, ...host }) => {
      const { roster } = shared
      const queue = new HotQueue(shared.queue, shared.takers)
      const demux = host.owned(new EpollDemultiplexer())
      const recruiter = new Recruiter(roster, queue, options.spareTimeout, service.now, host.more)
      const acceptor = new Acceptor(roster, recruiter, queue, { listener, service }, demux)

      limitWaits(service, listener.fd) // what is accepted inherits it
      demux.add(stop.fd, READABLE)
      while (!stop.requested) {
        const ready = demux.wait(acceptor.timeout(recruiter.timeout(service.now)))
        service.tick()
        for (let i = 0; i < ready; i++) acceptor.hears(demux.fd(i))
        acceptor.accept()
        recruiter.review(service.now)
      }
      const last = listener.takeLast(false)
      host.acceptedLast()
      for (const fd of last) acceptor.hand(fd, true)
      queue.close()
      demux.close()
    }),

    conn: onThread<MultiThreadOptions, Shared>(
      {
        count: firstThreads,
        accepts: false,
        blocking: true,
        resizable: ({ threads }) => ({ min: 1, max: threadLimit(threads) }),
        population,
        crowded: ({ roster }) => isCrowded(roster),
        awaited: ({ roster }) => isAwaited(roster),
      },
      async ({ shared, service, stop, index }) => {
        const source = new HotQueue(shared.queue, shared.takers).taker(index)
        const seat = new Seat(shared.roster, index, source, shared.workload.row(index, service.table), stop)
        const thread = new BlockingThread(service)
        for await (const fd of thread.takenFrom(source, seat)) {
          const connection = Connection.claim(service, fd)
          if (connection !== undefined) {
            do await connection.exchange()
            while (await thread.staysOn(connection, seat))
            connection.close()
          }
          if (seat.leave()) break
        }
        seat.vacate()
        await thread.finish()
      },
    ),
  },
})

export const serve: typeof multiThread.serve = multiThread.serve
