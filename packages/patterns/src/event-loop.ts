/**
 * event-loop: one thread takes what happens from one queue and calls back; nothing that is called back may block.
 *
 *   ┌─▶ wait ─▶ I/O: accepted, ready, drain ─▶ timers: tend ─▶ signals ─▶ tasks ─▶ Node's own loop ─┐
 *   └───────────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * Waits in:      one wait for everything, of epoll(7), poll(2), select(2) or kqueue(2); it ends when the next timer is due
 * Shares:        nothing; one thread owns every connection
 * Crash:         the loop and all its connections; it is started again
 * Choose it      for many connections and handlers that await; not where a handler computes for long: all others wait for it,
 *                and with `slow` the log says which one it was, and where.
 * Differs from   epoll: nobody switches on what an event is; each descriptor, timer, signal and task has a callback, and the loop
 *                knows nothing else. Time is an event too: what has taken too long is looked for by a timer from a heap.
 *                reactor: callbacks, not objects; and one queue for all kinds of events, with an order between them.
 * See:           packages/core/src/loop/event-loop.ts for the order of the phases; Node.js, "The Node.js Event Loop"
 */

import {
  CLOSED,
  type Connection,
  ConnectionSet,
  choice,
  DEFAULT_DEMULTIPLEXER,
  DEMULTIPLEXERS,
  type DemultiplexerName,
  Door,
  defineModel,
  describeDemultiplexer,
  EventLoop,
  integer,
  type Model,
  milliseconds,
  onThreadOrCaller,
  READABLE,
  type Timer,
  type Waiting,
  type WakeupKind,
} from '@cs/core'
import { Watchdog } from './event-loop/watchdog.js'

export interface EventLoopOptions {
  /** The system call that the loop waits in. Default: 'epoll', where there is one. */
  readonly demultiplexer: DemultiplexerName
  /** How other threads end the wait. Default: 'eventfd', where there is one. */
  readonly wakeup: WakeupKind
  /** Timers, and tasks, that run in one turn at most, so that they starve nobody. Default: 1024. */
  readonly budget: number
  /** Time that the loop may be blocked before the log says by what, in ms; 0: any. Default: 0. */
  readonly slow: number
}

export const eventLoop: Model<EventLoopOptions> = defineModel<EventLoopOptions>(import.meta, {
  name: 'event-loop',
  family: 'patterns',
  summary: 'one thread, one queue of events, a callback for each; nothing blocks',
  mechanism: ({ demultiplexer }) => describeDemultiplexer(demultiplexer),
  options: {
    demultiplexer: choice('the system call that the loop waits in', {
      default: DEFAULT_DEMULTIPLEXER,
      choices: DEMULTIPLEXERS,
    }),
    wakeup: choice('how other threads end the wait', {
      default: process.platform === 'darwin' ? 'pipe' : 'eventfd',
      choices: ['eventfd', 'pipe', 'socketpair'],
    }),
    budget: integer('timers, and tasks, that run in one turn at most', { default: 1024, min: 1, max: 1 << 20 }),
    slow: milliseconds('time that the loop may be blocked before the log says by what', { default: 0 }),
  },
  roles: {
    loop: onThreadOrCaller({ readsAhead: true }, async ({ options, listener, service, stop, owned, acceptedLast }) => {
      const loop = owned(new EventLoop({ ...options, ledger: service, onError: endThread }))
      const connections = new ConnectionSet(service, (fd) => loop.closed(fd))
      const watchdog = options.slow > 0 ? await Watchdog.start(options.slow, service.log) : undefined
      const door: Door = new Door(listener, loop.admitter(accepted), service, enter)
      let alarm: Timer | undefined

      if (watchdog !== undefined) service.app = watchdog.around(service.app)
      loop.watch(stop.fd, READABLE, drain)
      loop.beforeWait(() => {
        if (!door.isOpen && connections.size === 0) loop.stop()
        wakeIn(door.timeout(connections.timeout))
        watchdog?.rests()
      })
      loop.afterWait(() => {
        watchdog?.wakes()
        service.tick()
      })
      await loop.run().finally(() => watchdog?.close())

      function accepted(fd: number): void {
        door.takes(fd)
      }

      function enter(fd: number): void {
        const connection = connections.open(fd)
        connection.onProgress = () => watch(connection, connection.waiting)
        loop.watch(fd, READABLE, () => watch(connection, connection.advance()))
      }

      function watch(connection: Connection, waiting: Waiting): void {
        if (waiting === CLOSED) connections.forget(connection)
        else if (waiting !== connection.registered) loop.change(connection.fd, (connection.registered = waiting))
      }

      /** Sets the alarm, unless one comes sooner; -1 for none. */
      function wakeIn(ms: number): void {
        if (ms < 0 || (alarm?.active && alarm.due <= performance.now() + ms)) return
        if (alarm !== undefined) loop.cancelTimer(alarm)
        alarm = loop.setTimer(ms, tend)
      }

      /** Ends what has taken too long; what else is due the hook before the wait will do. */
      function tend(): void {
        if (stop.forced) abandon()
        connections.sweep()
      }

      function drain(): void {
        loop.unwatch(stop.fd)
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

/** Has an error of a callback end the thread as one of Node's own callbacks would; the host gives back what the loop holds. */
function endThread(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}

export const serve: typeof eventLoop.serve = eventLoop.serve
