/**
 * select: one thread watches all its connections with select(2) and serves those that are ready.
 *
 *   loop: select ─▶ listener ready: accept4 until none waits, watch each
 *            ▲  └──▶ connection ready: recv → handler → send, watch for what it waits for next
 *            └──────┘
 *
 * Waits in:      select(2), one wait for everything
 * Shares:        nothing; one thread owns every connection
 * Crash:         the loop and all its connections; it is started again
 * Choose it      to learn, and where nothing else exists; not for more than a few hundred connections.
 * Differs from   single-process: one wait for many descriptors, so an idle client holds nobody up. Three sets of bits are
 *                rebuilt for each wait and searched after it, and hold descriptors below FD_SETSIZE (1024) only: beyond them
 *                clients wait in the backlog.
 * See:           UNP §6.3; man 2 select
 */

import {
  CLOSED,
  type Connection,
  ConnectionSet,
  Door,
  defineModel,
  type Model,
  NestedLibuv,
  onThreadOrCaller,
  READABLE,
  SelectDemultiplexer,
  type Waiting,
} from '@cs/core'

/** The model has no options of its own. */
// biome-ignore lint/complexity/noBannedTypes: none is none
export type SelectOptions = {}

export const select: Model<SelectOptions> = defineModel(import.meta, {
  name: 'select',
  family: 'io-multiplexing',
  summary: 'one thread, up to FD_SETSIZE connections watched by one select',
  options: {},
  roles: {
    loop: onThreadOrCaller({ readsAhead: true }, async ({ listener, service, stop, owned, acceptedLast }) => {
      const demux = owned(new SelectDemultiplexer())
      const connections = new ConnectionSet(service, (fd) => demux.closed(fd))
      const libuv = new NestedLibuv(demux)
      const door = new Door(listener, demux, service, enter)

      demux.add(stop.fd, READABLE)
      while (door.isOpen || connections.size > 0) {
        const ready = demux.wait(libuv.timeout(service, door.timeout(connections.timeout)))
        service.tick()
        for (let i = 0; i < ready; i++) {
          const fd = demux.fd(i)
          const connection = connections.at(fd)
          if (connection !== undefined) watch(connection, connection.advance())
          else if (fd === stop.fd) drain()
          else door.takes(fd) || libuv.takes(fd)
        }
        if (stop.forced) abandon()
        connections.sweep()
        await libuv.breathe(service, ready)
      }
      libuv.close()
      demux.close()

      function enter(fd: number): void {
        const connection = connections.open(fd)
        connection.onProgress = () => watch(connection, connection.waiting)
        demux.add(fd, READABLE)
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
    }),
  },
})

export const serve: typeof select.serve = select.serve
