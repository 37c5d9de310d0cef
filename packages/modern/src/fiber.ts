/**
 * fiber: one thread, a fiber for each connection: a thread of user space, with a stack of its own, which waits wherever it is.
 *
 *   loop: wait ─▶ listener ready: accept, spawn a fiber
 *           ▲ └─▶ connection ready: its fiber becomes ready ─▶ turn: switch to those that are ready ─┐
 *           └────────────────────────────────────────────────────────────────────────────────────────┘
 *   fiber: call read ─▶ call process ─▶ call write ↺        ready ⇄ running ─▶ blocked ─▶ ready …
 *
 * Waits in:      one wait for everything, of epoll(7), poll(2), select(2) or kqueue(2)
 * Shares:        nothing; one thread owns every connection
 * Crash:         the loop and all its connections; it is started again
 * Choose it      for many connections whose handlers call deep and wait there, or work together by channels and locks; not where a
 *                handler computes for long.
 * Differs from   coroutine: nested calls lie on the fiber's own stack, and it is resumed in the innermost at once. multi-thread: a
 *                fiber costs less than a kilobyte, and others run only where it waits.
 * See:           Adya et al. 2002, "Cooperative Task Management without Manual Stack Management"; fiber/stack.ts
 */

import {
  CLOSED,
  type Connection,
  ConnectionSet,
  Conversation,
  choice,
  DEFAULT_DEMULTIPLEXER,
  DEMULTIPLEXERS,
  type DemultiplexerName,
  Door,
  defineModel,
  describeDemultiplexer,
  integer,
  type Model,
  NestedLibuv,
  onThreadOrCaller,
  openDemultiplexer,
  READABLE,
  Scheduler,
  type Steps,
} from '@cs/core'
import { Census } from './fiber/census.js'
import { call, spawnOn } from './fiber/index.js'

export * from './fiber/index.js'

export interface FiberOptions {
  /** The system call that the loop waits in. Default: 'epoll', where there is one. */
  readonly demultiplexer: DemultiplexerName
  /** How often in a turn a fiber may go on with what can be had at once, before others have theirs. Default: 64. */
  readonly budget: number
}

interface Shared {
  readonly census: Census
}

export const fiber: Model<FiberOptions> = defineModel<FiberOptions, Shared>(import.meta, {
  name: 'fiber',
  family: 'modern',
  summary: 'a fiber with a stack of its own for each connection',
  mechanism: ({ demultiplexer }) => describeDemultiplexer(demultiplexer),
  options: {
    demultiplexer: choice('the system call that the loop waits in', {
      default: DEFAULT_DEMULTIPLEXER,
      choices: DEMULTIPLEXERS,
    }),
    budget: integer('times in a turn that a fiber may go on with what can be had at once', {
      default: 64,
      min: 1,
      max: 1 << 20,
    }),
  },
  shared: () => ({ census: Census.create() }),
  statistics: ({ census }) => ({ fibers: { ...census.statistics() } }),
  roles: {
    loop: onThreadOrCaller(
      { readsAhead: true },
      async ({ options, shared: { census }, listener, service, stop, owned, acceptedLast }) => {
        const demux = owned(openDemultiplexer(options))
        const onError = (panic: unknown): void => service.log('a fiber panicked', panic)
        const scheduler = new Scheduler({ budget: options.budget, ledger: service, onError })
        const conversations: (Conversation | undefined)[] = [] // by descriptor
        const connections = new ConnectionSet(service, closed)
        const libuv = new NestedLibuv(demux)
        const door = new Door(listener, demux, service, enter)

        demux.add(stop.fd, READABLE)
        while (door.isOpen || connections.size > 0) {
          const ready = demux.wait(scheduler.timeout(libuv.timeout(service, door.timeout(connections.timeout))))
          service.tick()
          for (let i = 0; i < ready; i++) {
            const fd = demux.fd(i)
            const conversation = conversations[fd]
            if (conversation !== undefined) conversation.ready()
            else if (fd === stop.fd) drain()
            else door.takes(fd) || libuv.takes(fd)
          }
          scheduler.run()
          if (stop.forced) abandon()
          connections.sweep()
          census.take(scheduler)
          await libuv.breathe(service, ready)
        }
        scheduler.close()
        census.take(scheduler)
        libuv.close()
        demux.close()

        function* converse(conversation: Conversation): Steps<void> {
          try {
            let request: Request | undefined
            while ((request = yield* call(conversation.read())) !== undefined) {
              const response = yield* call(conversation.process(request))
              yield* call(conversation.write(response))
            }
          } finally {
            conversation.end()
          }
        }

        function enter(fd: number): void {
          const conversation = new Conversation(connections.open(fd), watch)
          conversations[fd] = conversation
          demux.add(fd, READABLE)
          conversation.coroutine = spawnOn(scheduler, converse(conversation), 'connection')
        }

        function watch(connection: Connection): void {
          const { waiting } = connection
          if (waiting === CLOSED) connections.forget(connection)
          else if (waiting !== connection.registered) demux.modify(connection.fd, (connection.registered = waiting))
        }

        function closed(fd: number): void {
          demux.closed(fd)
          conversations[fd]!.gone()
          conversations[fd] = undefined
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
      },
    ),
  },
})

export const serve: typeof fiber.serve = fiber.serve
