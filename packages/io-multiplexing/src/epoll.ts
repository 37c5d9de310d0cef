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
 * Differs from   poll: the kernel keeps the set of descriptors, so a wait costs what is ready, not what is open. It tells what is
 *                ready (level) or what has become so (edge: whoever is told reads until EAGAIN, or is not told again).
 * See:           UNP §6; man 7 epoll
 */

import {
  CLOSED,
  type Connection,
  ConnectionSet,
  choice,
  Door,
  defineModel,
  EpollDemultiplexer,
  type Model,
  NestedLibuv,
  onThreadOrCaller,
  READABLE,
  type Trigger,
  type Waiting,
} from '@cs/core'

export interface EpollOptions {
  /** Whether readiness is told as long as it lasts, or when it comes. Default: 'level'. */
  readonly trigger: Trigger
}

/** Reads of one connection, edge-triggered, before others get their turn: a busy client starves nobody. */
const READS = 16

export const epoll: Model<EpollOptions> = defineModel<EpollOptions>(import.meta, {
  name: 'epoll',
  family: 'io-multiplexing',
  summary: 'one thread, all connections watched by one epoll_wait',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'epoll(7) is a call of Linux'),
  options: {
    trigger: choice('whether readiness is told as long as it lasts, or when it comes', {
      default: 'level',
      choices: ['level', 'edge'],
    }),
  },
  roles: {
    loop: onThreadOrCaller({ readsAhead: true }, async ({ options, listener, service, stop, owned, acceptedLast }) => {
      const demux = owned(new EpollDemultiplexer({ trigger: options.trigger }))
      const isEdge = demux.trigger === 'edge'
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
          if (connection !== undefined) watch(connection, isEdge ? connection.exhaust(READS) : connection.advance())
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

export const serve: typeof epoll.serve = epoll.serve
