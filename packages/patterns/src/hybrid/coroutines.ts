/**
 * epoll+coroutine: N threads, each with an epoll and a scheduler. A connection is a coroutine of the thread that accepted it.
 *
 *   loop 1 … N: epoll_wait ─▶ listener: accept, spawn ─▶ connection ready: its coroutine becomes ready ─▶ run those that are ready ↺
 */

import {
  CLOSED,
  type Connection,
  ConnectionSet,
  Conversation,
  Door,
  EpollDemultiplexer,
  NestedLibuv,
  onThread,
  type Parts,
  READABLE,
  Scheduler,
  type Steps,
} from '@cs/core'
import type { HybridOptions } from '../hybrid.js'

/** What the loops leave for the statistics: a row each, which it alone writes. */
export interface Loops {
  readonly rows: Float64Array
}

/** The cells of a row. */
const ALIVE = 0
const SUSPENDED = 1
const SPAWNED = 2
const RESUMED = 3
const ROW = 8 // a cache line

export function openLoops(loops: number): Loops {
  return { rows: new Float64Array(new SharedArrayBuffer(loops * ROW * 8)) }
}

export function partsOfLoops({ rows }: Loops): Parts {
  const sum = (cell: number): number => rows.reduce((total, value, i) => (i % ROW === cell ? total + value : total), 0)
  return {
    loops: { count: rows.length / ROW },
    coroutines: { alive: sum(ALIVE), suspended: sum(SUSPENDED), spawned: sum(SPAWNED), resumed: sum(RESUMED) },
  }
}

/** The role of so many loops. */
export function loopRole(
  count: (options: HybridOptions) => number,
): ReturnType<typeof onThread<HybridOptions, Partial<Loops>>> {
  return onThread(
    { count, readsAhead: true, ownSocket: 'on ports' },
    async ({ shared, listener, service, stop, owned, index, acceptedLast }) => {
      const row = shared.rows!.subarray(index * ROW, (index + 1) * ROW)
      const demux = owned(new EpollDemultiplexer())
      const scheduler = new Scheduler({ ledger: service })
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
        note()
        await libuv.breathe(service, ready)
      }
      scheduler.close()
      note()
      libuv.close()
      demux.close()

      function* converse(conversation: Conversation): Steps<void> {
        try {
          let request: Request | undefined
          while ((request = yield* conversation.read()) !== undefined) {
            const response = yield* conversation.process(request)
            yield* conversation.write(response)
          }
        } finally {
          conversation.end()
        }
      }

      function enter(fd: number): void {
        const conversation = new Conversation(connections.open(fd), watch)
        conversations[fd] = conversation
        demux.add(fd, READABLE)
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

      function note(): void {
        const { alive, suspended, spawned, resumed } = scheduler.statistics()
        row[ALIVE] = alive
        row[SUSPENDED] = suspended
        row[SPAWNED] = spawned
        row[RESUMED] = resumed
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
  )
}
