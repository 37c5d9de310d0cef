/**
 * Producer and consumer: P threads accept, C threads serve, and a bounded buffer stands between. Both sides just block.
 *
 *   producer 1 … P:  accept ─▶ buffer.put, which waits while it is full ─▶ accept ↺
 *   attendant:       epoll_wait ─▶ an idle connection has bytes ─▶ buffer.put
 *   consumer 1 … C:  buffer.take, which waits while it is empty ─▶ recv → handler → send ─▶ park ↺
 *
 * Waits in:      accept(2) and, while the buffer is full, futex(2) in the producers; epoll_wait(2) in the attendant, which is a producer
 *                too, of connections that were idle; futex(2) in the consumers
 * Shares:        the listening socket, the buffer, the lot where idle connections are parked, the connection table
 * Crash:         one thread, the one connection it served; the host starts another
 * Choose it      where load must push back: when the consumers fall behind, the buffer fills, the producers stop, and clients wait in the
 *                backlog, where they cost nothing; nothing is dropped.
 * Differs from   thread-pool: there one thread accepts, and watches the idle too. Here accepting and watching are separate, and each
 *                blocks for itself: a full buffer stops them one by one.
 * See:           Dijkstra, "Cooperating sequential processes" (1965), §4.3; Hoare, "Monitors" (1974), §3; man 2 accept
 */

import { availableParallelism } from 'node:os'
import {
  Attendant,
  BlockingThread,
  BoundedQueue,
  Connection,
  close,
  defineModel,
  integer,
  Lot,
  type Model,
  onThread,
  openLot,
  READABLE,
  Workload,
} from '@cs/core'
import {
  answer,
  anyProduces,
  type Calls,
  call,
  closeCalls,
  mayRest,
  openCalls,
  produces,
} from './producer-consumer/watch.js'

export interface ProducerConsumerOptions {
  /** Threads that accept. Default: 2. */
  readonly producers: number
  /** Threads that run handlers. Default: one for each processor. */
  readonly consumers: number
  /** Connections that the buffer has room for. Default: 1024. */
  readonly buffer: number
}

interface Shared {
  readonly buffer: BoundedQueue
  /** The epoll on which idle connections are parked. */
  readonly lot: number
  readonly calls: Calls
  /** What the consumers do and how long connections wait for them. */
  readonly workload: Workload
}

/** The most threads there may be on either side. */
const MOST = 1024

/** Bytes of a request that are gathered before it takes a thread: a slow client holds none. */
const GATHER_BYTES = 64 * 1024

export const producerConsumer: Model<ProducerConsumerOptions> = defineModel<ProducerConsumerOptions, Shared>(
  import.meta,
  {
    name: 'producer-consumer',
    family: 'patterns',
    summary: 'P threads accept, C threads serve, a bounded buffer between, and both sides block',
    needs: ['Linux'],
    missing: () => (process.platform === 'linux' ? undefined : 'connections are parked with epoll(7), a call of Linux'),
    options: {
      producers: integer('threads that accept', { default: 2, min: 1, max: MOST }),
      consumers: integer('threads that run handlers', { default: availableParallelism(), min: 1, max: MOST }),
      buffer: integer('connections that the buffer has room for', { default: 1024, min: 1, max: 1 << 20 }),
    },
    shared: ({ producers, buffer }) => ({
      buffer: BoundedQueue.create(buffer),
      lot: openLot(),
      calls: openCalls(producers),
      workload: Workload.create(2 * MOST),
    }),
    dispose: ({ lot, calls }) => {
      close(lot)
      closeCalls(calls)
    },
    statistics: ({ buffer, workload }, { producers }) => {
      const { waitingMs, threads, busy, occupancy } = workload.statistics()
      const { size: depth, capacity } = buffer
      return {
        buffer: { depth, capacity, ...buffer.statistics(), waitingMs },
        producers: { count: producers, blocked: buffer.waitingPutters },
        consumers: { count: threads, busy, occupancy },
      }
    },
    roles: {
      producer: onThread(
        { count: ({ producers }) => producers, handles: false, blocking: true },
        async ({ listener, shared: { buffer, calls }, service, index, acceptedLast }) => {
          produces(calls, index, true)
          for await (const fd of new BlockingThread(service).acceptedFrom(listener, acceptedLast, true)) {
            if (!Connection.pass(service, fd)) continue
            call(calls)
            buffer.put(fd)
          }
          produces(calls, index, false)
        },
      ),

      attendant: onThread({ handles: false, accepts: false }, ({ shared: { buffer, lot, calls }, service, stop }) => {
        const attendant = new Attendant(lot, service, buffer)
        const { demux } = attendant
        let parked = false
        let isNeeded = true

        for (const fd of [stop.fd, calls.fd]) demux.add(fd, READABLE)
        while (!stop.requested || (isNeeded && !stop.forced)) {
          if (!parked && !mayRest(calls, service)) attendant.expect()
          const ready = demux.wait(attendant.timeout(stop.requested))
          service.tick()
          for (let i = 0; i < ready; i++) {
            const fd = demux.fd(i)
            if (fd === stop.fd) demux.remove(fd)
            else if (fd === calls.fd) heed()
            else attendant.ready(fd)
          }
          attendant.hand()
          const producing = anyProduces(calls) // asked first: what one accepted that has ended is in the table
          parked = attendant.sweep(stop.requested)
          isNeeded = parked || producing
        }
        buffer.close()

        function heed(): void {
          answer(calls)
          attendant.expect()
        }
      }),

      consumer: onThread(
        {
          count: ({ consumers }) => consumers,
          accepts: false,
          gather: GATHER_BYTES,
          resizable: { min: 1, max: MOST },
          population: { dismiss: ({ buffer }) => buffer.dismiss() },
        },
        async ({ shared, service, index }) => {
          const workload = shared.workload.row(index, service.table)
          const lot = new Lot(shared.lot, service)
          const thread = new BlockingThread(service)
          for await (const fd of thread.takenFrom(shared.buffer, workload)) {
            const connection = lot.enter(fd)
            if (connection !== undefined) lot.leave(connection, await connection.exchange())
          }
          await thread.finish()
          workload.leave()
        },
      ),
    },
  },
)

export const serve: typeof producerConsumer.serve = producerConsumer.serve
