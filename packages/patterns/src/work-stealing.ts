/**
 * work-stealing: each worker has a deque of its own, and takes from the others when it has nothing.
 *
 *   acceptor: epoll_wait ─▶ accept4, or a parked connection has bytes ─▶ injection queue
 *   worker 1: own deque, newest first ─▶ else a batch of the injection queue ─▶ else steal ─▶ recv → handler → send ─▶ park ↺
 *   worker N: …                                                                  │
 *                               the oldest of a random victim's deque ◀──────────┘      (a futex where there is nothing)
 *
 *   handler:  spawn ─▶ own deque of tasks ─▶ this worker, or a thief; await: runs other tasks meanwhile
 *
 * Waits in:      epoll_wait(2) in the acceptor, futex(2) in the workers
 * Shares:        the injection queue, the deques, the table of tasks; the lot where idle connections are parked
 * Crash:         one thread, the one connection and the tasks it ran; what lay in its deques is stolen, or its successor's
 * Choose it      for handlers that compute and can divide their work: `spawn` spreads one request over all processors.
 * Differs from   thread-pool: workers meet at the queue once for a batch, and one that got the long requests is relieved of the
 *                rest. Its threads never wait for each other's locks while there is work.
 * See:           Blumofe and Leiserson, "Scheduling Multithreaded Computations by Work Stealing" (1999); Chase and Lev (2005);
 *                packages/core/src/sync/work-stealing-deque.ts, idle-workers.ts
 */

import { availableParallelism } from 'node:os'
import {
  Attendant,
  BlockingThread,
  close,
  Door,
  defineModel,
  integer,
  Lot,
  type Model,
  onThread,
  openLot,
  READABLE,
} from '@cs/core'
import {
  type Crew,
  createCrew,
  dismissOne,
  Injector,
  MOST,
  settleDead,
  statisticsOf,
  Tasks,
  Thief,
  Worker,
} from './work-stealing/index.js'

export { join, spawn, type Task, TaskError } from './work-stealing/index.js'

export interface WorkStealingOptions {
  /** Threads that run handlers and tasks. Default: one for each processor. */
  readonly threads: number
  /** Connections that may wait in the injection queue; beyond it accepting waits. Default: 1024. */
  readonly waiting: number
}

interface Shared {
  readonly crew: Crew
  /** The epoll on which idle connections are parked. */
  readonly lot: number
}

/** Bytes of a request that are gathered before it takes a thread: a slow client holds none. */
const GATHER_BYTES = 64 * 1024

export const workStealing: Model<WorkStealingOptions> = defineModel<WorkStealingOptions, Shared>(import.meta, {
  name: 'work-stealing',
  family: 'patterns',
  summary: 'a deque for each of N threads, which steal from each other; handlers can spawn tasks',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'connections are parked with epoll(7), a call of Linux'),
  options: {
    threads: integer('threads that run handlers and tasks', { default: availableParallelism(), min: 1, max: MOST }),
    waiting: integer('connections that may wait in the injection queue', { default: 1024, min: 1, max: 1 << 20 }),
  },
  shared: ({ waiting }) => ({ crew: createCrew(waiting), lot: openLot() }),
  dispose: ({ crew, lot }) => {
    crew.table.dispose()
    close(lot)
  },
  statistics: ({ crew }) => {
    const { injection, idle } = crew
    const { workers, workload } = statisticsOf(crew)
    const { waitingMs, threads, busy, occupancy } = workload
    return {
      injection: {
        depth: injection.size,
        capacity: injection.capacity,
        highWater: injection.statistics().highWater,
        waitingMs,
      },
      threads: { count: threads, busy, occupancy, searching: idle.searching, sleeping: idle.sleeping },
      workers: workers.map((each) => ({ ...each })),
    }
  },
  roles: {
    acceptor: onThread({ handles: false }, ({ listener, shared: { crew, lot }, service, stop, acceptedLast }) => {
      const injector = new Injector(crew)
      const attendant = new Attendant(lot, service, injector)
      const { demux } = attendant
      const door = new Door(listener, demux, service, (fd) => attendant.accepted(fd))
      let draining = false
      let parked = false

      demux.add(stop.fd, READABLE)
      while (!draining || (parked && !stop.forced)) {
        const ready = demux.wait(door.timeout(attendant.timeout(draining)))
        service.tick()
        for (let i = 0; i < ready; i++) {
          const fd = demux.fd(i)
          if (fd === stop.fd) drain()
          else door.takes(fd) || attendant.ready(fd)
        }
        attendant.hand()
        parked = attendant.sweep(draining)
      }
      injector.close()

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
          dismiss: ({ crew }) => dismissOne(crew),
          forget: ({ crew }, index) => settleDead(crew, index),
        },
      },
      async ({ shared: { crew, ...shared }, service, index, appUrl }) => {
        const thief = new Thief(crew, index)
        const tasks = new Tasks(crew, index, thief, await import(appUrl!))
        const worker = new Worker(crew, index, service, thief, tasks)
        const lot = new Lot(shared.lot, service)
        const thread = new BlockingThread(service)

        Tasks.current = tasks
        for await (const item of thread.takenFrom(worker, worker)) {
          if (item < 0) {
            service.appRan = true
            await tasks.run(~item)
          } else {
            const connection = lot.enter(item)
            if (connection !== undefined) lot.leave(connection, await connection.exchange())
          }
        }
        await thread.finish()
        worker.leave()
      },
    ),
  },
})

export const serve: typeof workStealing.serve = workStealing.serve
