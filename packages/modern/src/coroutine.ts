/**
 * coroutine: one thread, a coroutine for each connection. It reads, handles and writes in straight-line code; where that would
 * block it yields, and readiness resumes it.
 *
 *   loop: wait ─▶ listener ready: accept, spawn a coroutine
 *           ▲ └─▶ connection ready: its coroutine becomes ready ─▶ turn: run those that are ready ─┐
 *           └──────────────────────────────────────────────────────────────────────────────────────┘
 *   coroutine: INIT ─▶ READING ─▶ PROCESSING ─▶ WRITING ─▶ READING … ─▶ DONE
 *
 * Waits in:      one wait for everything, of epoll(7), poll(2), select(2) or kqueue(2)
 * Shares:        nothing; one thread owns every connection
 * Crash:         the loop and all its connections; it is started again
 * Choose it      for many connections whose handling has several steps that wait; not where a handler computes for long.
 * Differs from   epoll: a connection does not remember in fields how far it has come, its coroutine stands at that line.
 *                fiber: a coroutine has one frame, and what it calls (`yield*`) lies on top of that whenever it is resumed.
 * See:           Conway 1963; packages/core/src/coroutine/scheduler.ts
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
  type Model,
  NestedLibuv,
  onThreadOrCaller,
  openDemultiplexer,
  READABLE,
  Scheduler,
  type Steps,
} from '@cs/core'
import { DONE, INIT, PROCESSING, READING, Tally, WRITING } from './coroutine/tally.js'

export * from '@cs/core/coroutine'

export interface CoroutineOptions {
  /** The system call that the loop waits in. Default: 'epoll', where there is one. */
  readonly demultiplexer: DemultiplexerName
}

interface Shared {
  readonly tally: Tally
}

export const coroutine: Model<CoroutineOptions> = defineModel<CoroutineOptions, Shared>(import.meta, {
  name: 'coroutine',
  family: 'modern',
  summary: 'a coroutine for each connection, resumed by readiness',
  mechanism: ({ demultiplexer }) => describeDemultiplexer(demultiplexer),
  options: {
    demultiplexer: choice('the system call that the loop waits in', {
      default: DEFAULT_DEMULTIPLEXER,
      choices: DEMULTIPLEXERS,
    }),
  },
  shared: () => ({ tally: Tally.create() }),
  statistics: ({ tally }) => ({ coroutines: { ...tally.statistics() } }),
  roles: {
    loop: onThreadOrCaller(
      { readsAhead: true },
      async ({ options, shared: { tally }, listener, service, stop, owned, acceptedLast }) => {
        tally.clear() // of a thread that died
        const demux = owned(openDemultiplexer(options))
        const onError = (error: unknown): void => service.log('a coroutine failed', error)
        const scheduler = new Scheduler({ ledger: service, onError })
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
          await libuv.breathe(service, ready)
        }
        scheduler.close()
        tally.clear()
        libuv.close()
        demux.close()

        function* converse(conversation: Conversation): Steps<void> {
          let state = INIT
          try {
            state = tally.move(state, READING)
            let request: Request | undefined
            while ((request = yield* conversation.read()) !== undefined) {
              state = tally.move(state, PROCESSING)
              const response = yield* conversation.process(request)
              state = tally.move(state, WRITING)
              yield* conversation.write(response)
              state = tally.move(state, READING)
            }
          } finally {
            tally.move(state, DONE)
            conversation.end()
          }
        }

        function enter(fd: number): void {
          const conversation = new Conversation(connections.open(fd), watch)
          conversations[fd] = conversation
          demux.add(fd, READABLE)
          tally.begin()
          conversation.coroutine = scheduler.spawn(converse(conversation))
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

export const serve: typeof coroutine.serve = coroutine.serve
