/**
 * reactor: handlers register with a reactor, which waits for the events of all their handles and dispatches each to its handler.
 *
 *   reactor: handleEvents ─▶ AcceptHandler.handleInput: accept, register a ConnectionHandler
 *                       └──▶ ConnectionHandler.handleInput, handleOutput: recv → app → send
 *
 *   loops: N       acceptor: handleEvents ─▶ accept ─▶ deal ─▶ queue, wakeup ─▶ loop 1 … N: a reactor each, on its own thread
 *   workers: N     reactor: handleEvents ─▶ accept, or a handle is ready ─▶ queue ─▶ worker 1 … N: recv → app → send ─▶ re-arm ↺
 *   both           acceptor: the same ─▶ io 1 … N: recv, parse ─▶ request ─▶ queue ─▶ handler 1 … M: app ─▶ reply ─▶ io: send
 *
 * Waits in:      one wait a reactor, of epoll(7), poll(2), select(2) or kqueue(2); with `workers` futex(2) in the workers
 * Shares:        with `loops` a queue for each, with `workers` one queue and the epoll, with both the queues of the crossing; else nothing
 * Crash:         one thread and its connections, with `workers` the requests that it had; it is started again
 * Choose it      for a server that watches other descriptors as well, by handlers of your own; `loops` for several processors,
 *                `workers` for handlers that block or compute, both for such handlers and many slow clients.
 * Differs from   epoll: what an event is about is not switched on in the loop, it is the handler's; new kinds of events are new
 *                handlers. proactor: a handler is told what can be done, and does it.
 * See:           POSA2 §3 (Reactor, Acceptor-Connector); Lea, "Scalable IO in Java"; man 7 epoll (EPOLLONESHOT)
 */

import {
  type Connection,
  ConnectionSet,
  choice,
  DEFAULT_DEMULTIPLEXER,
  DEMULTIPLEXERS,
  type DemultiplexerName,
  defineModel,
  describeDemultiplexer,
  integer,
  type Model,
  NestedLibuv,
  onThread,
  onThreadOrCaller,
} from '@cs/core'
import { closeShared, openShared, partsOf, type Shared } from './reactor/form.js'
import {
  AcceptHandler,
  ConnectionHandler,
  type Deal,
  Dealer,
  InboxHandler,
  Reactor,
  StopHandler,
} from './reactor/index.js'
import { poolRoles } from './reactor/pool.js'
import { workerRoles } from './reactor/workers.js'

export * from './reactor/index.js'

export interface ReactorOptions {
  /** The system call that reactors wait in. Default: 'epoll', where there is one. */
  readonly demultiplexer: DemultiplexerName
  /** Reactors, each on a thread, to which one more deals connections; 0: one that accepts and serves. Default: 0. */
  readonly loops: number
  /** How a loop is chosen for a connection. Default: 'round-robin'. */
  readonly deal: Deal
  /** Threads that run handlers: with `loops` nothing else, without them they read and write too; 0: none. Default: 0. */
  readonly workers: number
  /** Connections that may wait for a loop, or for the workers; beyond it accepting waits. Default: 1024. */
  readonly waiting: number
}

export const reactor: Model<ReactorOptions> = defineModel<ReactorOptions, Shared>(import.meta, {
  name: 'reactor',
  family: 'patterns',
  summary: 'events are demultiplexed, and dispatched to handlers that registered for them',
  mechanism: ({ demultiplexer }) => describeDemultiplexer(demultiplexer),
  options: {
    demultiplexer: choice('the system call that reactors wait in', {
      default: DEFAULT_DEMULTIPLEXER,
      choices: DEMULTIPLEXERS,
    }),
    loops: integer('reactors, a thread each, that get their connections from one more; 0: one that accepts itself', {
      default: 0,
      max: 1024,
    }),
    deal: choice('how a loop is chosen for a connection', {
      default: 'round-robin',
      choices: ['round-robin', 'least-busy'],
    }),
    workers: integer('threads that run handlers, and without loops read and write too; 0: none', {
      default: 0,
      max: 1024,
    }),
    waiting: integer('connections that may wait for a loop, or for the workers', {
      default: 1024,
      min: 1,
      max: 1 << 20,
    }),
  },
  shared: openShared,
  dispose: closeShared,
  statistics: partsOf,
  roles: {
    loop: onThreadOrCaller(
      { count: ({ loops, workers }) => (workers > 0 ? 0 : Math.max(loops, 1)), readsAhead: true },
      async ({ options, shared: { handover }, listener, service, stop, owned, index, acceptedLast }) => {
        const reactor = owned(new Reactor({ ...options, awake: () => service.tick() }))
        const connections = new ConnectionSet(service, (fd) => reactor.closed(fd))
        const libuv = new NestedLibuv(reactor.demux)
        const source =
          handover === undefined
            ? new AcceptHandler(reactor, listener, service, (fd) => serve(connections.open(fd)))
            : new InboxHandler(reactor, handover, index, service, (fd) => serve(connections.take(fd)))

        reactor.otherwise = (fd) => libuv.takes(fd)
        Reactor.current = reactor
        new StopHandler(reactor, stop.fd, drain)
        while (source.isOpen || connections.size > 0) {
          const ready = reactor.handleEvents(libuv.timeout(service, source.timeout(connections.timeout)))
          if (stop.forced) abandon()
          connections.sweep()
          handover?.hold(index, connections.size)
          await libuv.breathe(service, ready)
        }
        Reactor.current = undefined
        libuv.close()
        reactor.close()

        function serve(connection: Connection): void {
          new ConnectionHandler(reactor, connections, connection)
        }

        function drain(): void {
          source.shut()
          acceptedLast()
          connections.drain()
        }

        function abandon(): void {
          source.abandon()
          connections.closeAll()
        }
      },
    ),

    acceptor: onThread(
      { count: ({ loops }) => (loops > 0 ? 1 : 0), handles: false },
      ({ options, shared: { handover }, listener, service, stop, owned, acceptedLast }) => {
        const reactor = owned(new Reactor({ ...options, awake: () => service.tick() }))
        const dealer = new Dealer(handover!, options.deal, service)
        const acceptor = new AcceptHandler(reactor, listener, service, (fd) => dealer.give(fd))

        new StopHandler(reactor, stop.fd, () => acceptor.shut())
        while (acceptor.isOpen) {
          reactor.handleEvents(acceptor.timeout(-1))
          if (stop.forced) acceptor.abandon()
          dealer.signal()
        }
        acceptedLast()
        handover!.close()
        reactor.close()
      },
    ),

    ...workerRoles, // reactor, worker
    ...poolRoles, // io, handler
  },
})

export const serve: typeof reactor.serve = reactor.serve
