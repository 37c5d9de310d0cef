/**
 * Process pool with one socket: N processes, made in advance, all blocked in accept(2) on one listening socket.
 *
 *   host ── socket, bind, listen ── spawn × N ── wait, replace
 *     worker 1: accept ─▶ recv → handler → send ↺ while the client has more and nobody else waits ─▶ close ─▶ accept
 *     worker N: accept ─▶ …                                         (the kernel picks which one wakes)
 *
 * Waits in:      accept(2); with a client, recv(2) and send(2) on a blocking socket, poll(2) between its requests
 * Shares:        the listening socket
 * Crash:         one process and its one connection; it is started again
 * Choose it      for handlers that block, may crash or leak; not with many idle keep-alive clients.
 * Differs from   process-pool2: one socket for all, so whoever is idle takes the next connection.
 * See:           UNP §30.6 (preforked server, no locking around accept); man 2 accept
 */

import { availableParallelism } from 'node:os'
import { BlockingThread, Connection, defineModel, integer, type Model, onProcess } from '@cs/core'
import { HEARTBEAT, isWornOut, MAX_REQUESTS, MAX_REQUESTS_JITTER, type WorkerOptions } from './worker.js'

export interface ProcessPool1Options extends WorkerOptions {
  /** Processes that accept and serve. Default: one for each processor. */
  readonly processes: number
}

/** The most processes there may be. */
const MOST = 1024

export const processPool1: Model<ProcessPool1Options> = defineModel<ProcessPool1Options>(import.meta, {
  name: 'process-pool1',
  family: 'process-models',
  summary: 'N processes, all blocked in accept on one listening socket',
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

export const serve: typeof processPool1.serve = processPool1.serve
