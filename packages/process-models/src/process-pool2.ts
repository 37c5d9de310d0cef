/**
 * Process pool with a socket each: N processes, made in advance, each blocked in accept(2) on a listening socket of its own.
 *
 *   host ── (socket, SO_REUSEPORT, bind, listen, spawn) × N ── wait, replace
 *     worker 1: accept ─▶ recv → handler → send ↺ while the client has more and nobody else waits ─▶ close ─▶ accept
 *     worker N: accept ─▶ …                                         (the kernel picks by a hash of the client's address)
 *
 * Waits in:      accept(2); with a client, recv(2) and send(2) on a blocking socket, poll(2) between its requests
 * Shares:        the port
 * Crash:         one process and its one connection; its successor inherits the socket with all that wait there
 * Choose it      for many short connections on many processors; not where a slow request must not keep others waiting behind it.
 * Differs from   process-pool1: no socket is shared, so nothing is contended; who waits behind a busy process waits for that one.
 * See:           man 7 socket (SO_REUSEPORT); LWN 542629
 */

import { availableParallelism } from 'node:os'
import { BlockingThread, Connection, defineModel, integer, type Model, onProcess } from '@cs/core'
import { HEARTBEAT, isWornOut, MAX_REQUESTS, MAX_REQUESTS_JITTER, type WorkerOptions } from './worker.js'

export interface ProcessPool2Options extends WorkerOptions {
  /** Processes that accept and serve. Default: one for each processor. */
  readonly processes: number
}

/** The most processes there may be. */
const MOST = 1024

export const processPool2: Model<ProcessPool2Options> = defineModel<ProcessPool2Options>(import.meta, {
  name: 'process-pool2',
  family: 'process-models',
  summary: 'N processes, each blocked in accept on a listening socket of its own',
  needs: ['Linux'],
  missing: () =>
    process.platform === 'linux' ? undefined : 'memory shared between processes is made with memfd_create(2)',
  options: {
    processes: integer('processes that accept and serve', { default: availableParallelism(), min: 1, max: MOST }),
    maxRequests: MAX_REQUESTS,
    maxRequestsJitter: MAX_REQUESTS_JITTER,
    heartbeat: HEARTBEAT,
  },
  roles: {
    worker: onProcess(
      {
        count: ({ processes }) => processes,
        resizable: { min: 1, max: MOST },
        heartbeat: ({ heartbeat }) => heartbeat,
        blocking: true,
        ownSocket: true,
      },
      async ({ listener, service, options, acceptedLast, replace }) => {
        const thread = new BlockingThread(service)
        const wornOut = isWornOut(options, service)
        for await (const fd of thread.acceptedFrom(listener, acceptedLast)) {
          const connection = Connection.accept(service, fd)
          do {
            await connection.exchange()
            if (wornOut()) replace()
          } while (await thread.staysOn(connection, listener))
          connection.close()
        }
      },
    ),
  },
})

export const serve: typeof processPool2.serve = processPool2.serve
