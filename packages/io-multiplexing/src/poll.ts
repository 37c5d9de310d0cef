/**
 * poll: one thread watches all its connections with poll(2) and serves those that are ready.
 *
 *   loop: poll ─▶ listener ready: accept4 until none waits, watch each
 *          ▲ └──▶ connection ready: recv → handler → send, watch for what it waits for next
 *          └─────┘
 *
 * Waits in:      poll(2), one wait for everything
 * Shares:        nothing; one thread owns every connection
 * Crash:         the loop and all its connections; it is started again
 * Choose it      where there is neither epoll nor kqueue; not for many connections of which few are active.
 * Differs from   select: a dense array with an entry a descriptor, so their numbers have no bound and nothing is rebuilt; but
 *                the kernel, and then the loop, still goes through all of them for each wait.
 * See:           UNP §6.10; man 2 poll
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
  PollDemultiplexer,
  READABLE,
  type Waiting,
} from '@cs/core'

/** The model has no options of its own. */
// biome-ignore lint/complexity/noBannedTypes: none is none
export type PollOptions = {}

export const poll: Model<PollOptions> = defineModel(import.meta, {
  name: 'poll',
  family: 'io-multiplexing',
  summary: 'one thread, all connections watched by one poll over a dense array',
  options: {},
  roles: {
    loop: onThreadOrCaller({ readsAhead: true }, async ({ listener, service, stop, owned, acceptedLast }) => {
      const demux = owned(new PollDemultiplexer())
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

export const serve: typeof poll.serve = poll.serve
