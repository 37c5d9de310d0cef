/**
 * kqueue: one thread watches all its connections with kevent(2) and serves those that are ready.
 *
 *   loop: kevent ─▶ listener ready: accept4 until none waits, watch each
 *          ▲   └──▶ connection ready: recv → handler → send, watch for what it waits for next
 *          └──────┘
 *
 * Waits in:      kevent(2), one wait for everything; on Linux in epoll_wait(2), since there kqueue is emulated
 * Shares:        nothing; one thread owns every connection
 * Crash:         the loop and all its connections; it is started again
 * Choose it      on macOS and FreeBSD, where it is what epoll is on Linux; on Linux to try it.
 * Differs from   epoll: one call takes the list of changes and gives the list of events, so nothing is told to the kernel between
 *                two waits; and its filters tell timers, signals, processes and files beside sockets.
 * See:           Lemon, Kqueue: a generic and scalable event notification facility (2001); man 2 kqueue
 */

import {
  CLOSED,
  type Connection,
  ConnectionSet,
  choice,
  Door,
  defineModel,
  describeKqueue,
  type KqueueBackend,
  KqueueDemultiplexer,
  type Model,
  NestedLibuv,
  onThreadOrCaller,
  READABLE,
  type Trigger,
  type Waiting,
} from '@cs/core'

export interface KqueueOptions {
  /** Whether readiness is told as long as it lasts, or when it comes. Default: 'level'. */
  readonly trigger: Trigger
  /** Whose kqueue: the system's, that of libkqueue, or the emulation. Default: 'auto', the first of 'native', 'emulated'. */
  readonly backend: KqueueBackend | 'auto'
}

/** Reads of one connection, edge-triggered, before others get their turn: a busy client starves nobody. */
const READS = 16

export const kqueue: Model<KqueueOptions> = defineModel<KqueueOptions>(import.meta, {
  name: 'kqueue',
  family: 'io-multiplexing',
  summary: 'one thread, all connections watched by one kevent',
  mechanism: ({ backend }) => describeKqueue(backend),
  options: {
    trigger: choice('whether readiness is told as long as it lasts, or when it comes', {
      default: 'level',
      choices: ['level', 'edge'],
    }),
    backend: choice("whose kqueue: the system's, that of libkqueue, or the emulation on Linux", {
      default: 'auto',
      choices: ['auto', 'native', 'libkqueue', 'emulated'],
    }),
  },
  roles: {
    loop: onThreadOrCaller({ readsAhead: true }, async ({ options, listener, service, stop, owned, acceptedLast }) => {
      const demux = owned(new KqueueDemultiplexer({ trigger: options.trigger, backend: options.backend }))
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

export const serve: typeof kqueue.serve = kqueue.serve
