/**
 * epoll: one thread watches all its connections with epoll_wait(2) and serves those that are ready.
 *
 *   loop: epoll_wait ─▶ listener ready: accept4 until none waits, watch each
 *            ▲     └──▶ connection ready: recv → handler → send, watch for what it waits for next
 *            └─────────┘
 *
 * Waits in:      epoll_wait(2), one wait for everything
 * Shares:        nothing; one thread owns every connection
 * Crash:         the loop and all its connections; it is started again
 * Choose it      for many connections and handlers that do not burn CPU; not where one slow handler must not stall the rest.
 * Differs from   poll: the kernel keeps the set of descriptors, so a wait costs what is ready, not what is open.
 * See:           UNP §6; man 7 epoll
 */

import {
  CLOSED,
  type Connection,
  ConnectionSet,
  Door,
  defineModel,
  EpollDemultiplexer,
  type Model,
  NestedLibuv,
  onThreadOrCaller,
  READABLE,
  type Waiting,
} from '@cs/core'

/** The model has no options of its own. */
// biome-ignore lint/complexity/noBannedTypes: none is none
export type EpollOptions = {}

export const epoll: Model<EpollOptions> = defineModel(import.meta, {
  name: 'epoll',
  family: 'io-multiplexing',
  summary: 'one thread, all connections watched by one epoll_wait',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'epoll(7) is a call of Linux'),
  options: {},
  roles: {
    loop: onThreadOrCaller({ readsAhead: true }, async ({ listener, service, stop, owned, acceptedLast }) => {
      const demux = owned(new EpollDemultiplexer())
      const connections = new ConnectionSet(service)
      const libuv = new NestedLibuv(demux)
      const door = new Door(listener, demux, enter)
      let accepting = true

      demux.add(stop.fd, READABLE)
      while (accepting || connections.size > 0) {
        const ready = demux.wait(libuv.timeout(service, door.timeout(connections.timeout)))
        service.tick()
        for (let i = 0; i < ready; i++) {
          const fd = demux.fd(i)
          const connection = connections.at(fd)
          if (connection !== undefined) watch(connection, connection.advance())
          else if (fd === stop.fd) drain()
          else door.takes(fd) || libuv.takes(fd)
        }
        if (stop.forced) connections.closeAll()
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
        accepting = false
        demux.remove(stop.fd)
        door.shut()
        acceptedLast()
        connections.drain()
      }
    }),
  },
})

export const serve: typeof epoll.serve = epoll.serve
