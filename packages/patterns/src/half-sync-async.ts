/**
 * half-sync-async: one asynchronous thread does all I/O, N synchronous threads run handlers, queues between them.
 *
 *   async:   epoll_wait ─▶ accept4, recv, parse ─▶ request ─▶ queue      replies ─▶ response ─▶ send
 *   sync 1:  queue ─▶ handler ─▶ replies, and an eventfd where the async thread sleeps ↺
 *   sync N:  queue ─▶ …                                            (a futex wakes one of them)
 *
 * Waits in:      epoll_wait(2) in the asynchronous thread, futex(2) in the synchronous ones
 * Shares:        the queue of requests, a ring of replies, for each thread one of what comes later (bodies, room, aborts)
 * Crash:         a synchronous thread: the requests that it had, whose connections are closed; the host starts another
 * Choose it      where some handlers compute or block and others must not wait for them; slow clients cost no thread at all.
 * Differs from   thread-pool: requests cross, not connections. No handler's thread touches a socket, and a request costs two
 *                copies and, where somebody sleeps, two wake-ups. reactor with `workers`: those read and write themselves.
 * See:           POSA2 ch. 5 (Half-Sync/Half-Async); packages/core/src/crossing for what crosses, and how
 */

import { availableParallelism } from 'node:os'
import {
  Answerer,
  APP,
  BlockingThread,
  Caller,
  CLOSED,
  type Connection,
  ConnectionSet,
  Crossing,
  Door,
  defineModel,
  EpollDemultiplexer,
  integer,
  type Model,
  onThread,
  READABLE,
  type Waiting,
  Workload,
} from '@cs/core'

export interface HalfSyncAsyncOptions {
  /** Threads that run handlers. Default: two for each processor, so that some are left while others compute or block. */
  readonly threads: number
  /** Requests that may wait for a thread; beyond it the asynchronous thread stops reading. Default: 1024. */
  readonly waiting: number
}

interface Shared {
  readonly crossing: Crossing
  /** What the synchronous threads do and how long requests wait for them. */
  readonly workload: Workload
}

/** The most synchronous threads there may be. */
const MOST = 256

/** Bytes of a request that are gathered before it crosses: most cross whole. */
const GATHER_BYTES = 64 * 1024

export const halfSyncAsync: Model<HalfSyncAsyncOptions> = defineModel<HalfSyncAsyncOptions, Shared>(import.meta, {
  name: 'half-sync-async',
  family: 'patterns',
  summary: 'one thread does all I/O, N threads run handlers, queues between them',
  needs: ['Linux'],
  missing: () =>
    process.platform === 'linux' ? undefined : 'its asynchronous thread waits in epoll(7), a call of Linux',
  options: {
    threads: integer('threads that run handlers', {
      default: Math.min(2 * availableParallelism(), MOST),
      min: 1,
      max: MOST,
    }),
    waiting: integer('requests that may wait for a thread', { default: 1024, min: 1, max: 1 << 20 }),
  },
  shared: ({ waiting }) => ({
    crossing: Crossing.create({ answerers: MOST, processors: availableParallelism(), waiting, wakeups: true }),
    workload: Workload.create(MOST),
  }),
  dispose: ({ crossing }) => crossing.dispose(),
  statistics: ({ crossing, workload }) => {
    const { waitingMs, threads, busy, occupancy } = workload.statistics()
    return { queue: { ...crossing.queue, waitingMs }, threads: { count: threads, busy, occupancy } }
  },
  roles: {
    async: onThread(
      { handles: false, readsAhead: true, gather: GATHER_BYTES },
      async ({ listener, shared: { crossing }, service, stop, owned, acceptedLast }) => {
        const demux = owned(new EpollDemultiplexer())
        const connections = new ConnectionSet(service, (fd) => demux.closed(fd))
        const door = new Door(listener, demux, service, enter)
        const wakeup = crossing.wakeupOf(0)
        const caller = new Caller(crossing, 0, service) // what a connection takes for the app
        const unread = new Set<Connection>()

        demux.add(stop.fd, READABLE)
        demux.add(wakeup.fd, READABLE)
        while (door.isOpen || connections.size > 0) {
          const ready = demux.wait(caller.lieDown(door.timeout(connections.timeout)))
          caller.rise()
          service.tick()
          for (let i = 0; i < ready; i++) {
            const fd = demux.fd(i)
            const connection = connections.at(fd)
            if (connection !== undefined) advance(connection)
            else if (fd === wakeup.fd) wakeup.drain()
            else if (fd === stop.fd) drain()
            else door.takes(fd)
          }
          caller.receive() // calls onProgress of those whose answers came
          if (!caller.isFull) for (const connection of unread) readOn(connection)
          if (stop.forced) abandon()
          connections.sweep()
          await caller.settle()
        }
        crossing.close()
        demux.close()

        function enter(fd: number): void {
          const connection = connections.open(fd)
          connection.onProgress = () => watch(connection, connection.waiting)
          demux.add(fd, READABLE)
        }

        /** Does what a connection is ready for; while the queue is full nothing is read, once it has been told so. */
        function advance(connection: Connection): void {
          if (!caller.isFull || connection.registered !== READABLE) return watch(connection, connection.advance())
          unread.add(connection)
          watch(connection, APP)
        }

        function readOn(connection: Connection): void {
          unread.delete(connection)
          watch(connection, connection.waiting)
        }

        function watch(connection: Connection, waiting: Waiting): void {
          if (waiting === CLOSED) connections.forget(connection)
          else if (waiting !== connection.registered) demux.modify(connection.fd, (connection.registered = waiting))
        }

        function drain(): void {
          demux.remove(stop.fd)
          door.shut()
          acceptedLast()
          connections.drain()
        }

        function abandon(): void {
          door.abandon()
          connections.closeAll()
        }
      },
    ),

    sync: onThread(
      {
        count: ({ threads }) => threads,
        accepts: false,
        resizable: { min: 1, max: MOST },
        population: {
          dismiss: ({ crossing }) => crossing.dismiss(),
          forget: ({ crossing }, index) => crossing.forget(index),
        },
      },
      async ({ shared: { crossing, workload }, service, stop, index }) => {
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
  },
})

export const serve: typeof halfSyncAsync.serve = halfSyncAsync.serve
