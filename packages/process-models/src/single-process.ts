/**
 * Single process: one process, one connection at a time.
 *
 *   server: accept ─▶ recv → handler → send ↺ while the client has more and nobody else waits ─▶ close ─▶ accept
 *
 * Waits in:      accept(2); with a client, recv(2) and send(2) on a blocking socket, poll(2) between its requests
 * Shares:        nothing
 * Crash:         the process and its one connection; it is started again
 * Choose it      to learn, to measure what the others add, and where only one client ever comes; not for anything else.
 * Differs from   process-pool1: that is N of this, on one listening socket.
 * See:           UNP §4.6 (iterative server); man 2 accept
 */

import { BlockingThread, Connection, defineModel, type Model, onProcess } from '@cs/core'

/** The model has no options of its own. */
// biome-ignore lint/complexity/noBannedTypes: none is none
export type SingleProcessOptions = {}

export const singleProcess: Model<SingleProcessOptions> = defineModel(import.meta, {
  name: 'single-process',
  family: 'process-models',
  summary: 'one process, one connection at a time, every call blocks',
  needs: ['Linux'],
  missing: () =>
    process.platform === 'linux' ? undefined : 'memory shared between processes is made with memfd_create(2)',
  options: {},
  roles: {
    server: onProcess({ blocking: true }, async ({ listener, service, acceptedLast }) => {
      const thread = new BlockingThread(service)
      for await (const fd of thread.acceptedFrom(listener, acceptedLast)) {
        const connection = Connection.accept(service, fd)
        do await connection.exchange()
        while (await thread.staysOn(connection, listener))
        connection.close()
      }
    }),
  },
})

export const serve: typeof singleProcess.serve = singleProcess.serve
