/**
 * reactor+thread-pool: N reactors accept and watch, and one pool of threads serves what is ready, whichever reactor says so.
 *
 *   reactor 1 … N: handleEvents ─▶ accept, or a handle is ready ─▶ queue        worker 1 … M: queue ─▶ recv → app → send ─▶ re-arm ↺
 *
 * Each reactor has an epoll of its own, where the handles of certain descriptors are armed, whoever accepted them: a worker needs
 * nobody to tell it where a connection belongs. The pool is one, so no reactor's clients wait while threads of another's are free.
 * Of the workers only as many run as there are processors for them, unless those block: to wake one more for each short request
 * costs more than it gains.
 * In processes+threads each process runs the same with one reactor, and has its share of the processors.
 */

import {
  Attendant,
  BlockingThread,
  BoundedQueue,
  close,
  HotQueue,
  Lot,
  onThread,
  openLot,
  type Parts,
  type RoleContext,
  Workload,
} from '@cs/core'
import type { HybridOptions } from '../hybrid.js'
import { AcceptHandler, Reactor, StopHandler } from '../reactor/index.js'

/** What the reactors and the workers share. */
export interface Pool {
  readonly queue: BoundedQueue
  /** Which workers sleep. */
  readonly takers: Int32Array
  /** The epoll of each reactor. */
  readonly lots: readonly number[]
  /** A cell for each reactor: 1 once all that it has accepted is in the table, and it accepts no more. */
  readonly shut: Int32Array
  readonly workload: Workload
}

type PoolRole = ReturnType<typeof onThread<HybridOptions, Partial<Pool>>>

/** Bytes of a request that are gathered before it takes a thread: a slow client holds none. */
const GATHER_BYTES = 64 * 1024

/** Milliseconds for which a connection may lie in the queue before another worker is called, beyond one for each processor. */
const PATIENCE_MS = 1

/** Makes what so many reactors and threads share; {@link closePool} gives its descriptors back. */
export function openPool(reactors: number, { threads, waiting }: HybridOptions, processors: number): Pool {
  return {
    queue: BoundedQueue.create(waiting),
    takers: HotQueue.cells(threads, processors),
    lots: Array.from({ length: reactors }, openLot),
    shut: new Int32Array(new SharedArrayBuffer(4 * reactors)),
    workload: Workload.create(threads),
  }
}

export function closePool({ lots = [] }: Partial<Pool>): void {
  for (const lot of lots) close(lot)
}

export function partsOfPool({ queue, lots, workload }: Pool): Parts {
  const { waitingMs, threads, busy, occupancy } = workload.statistics()
  const { size: depth, capacity } = queue
  return {
    reactors: { count: lots.length },
    queue: { depth, capacity, highWater: queue.statistics().highWater, waitingMs },
    threads: { count: threads, busy, occupancy },
  }
}

/** Roles for whoever is to have so many reactors and threads. */
export function poolRoles(
  reactors: (options: HybridOptions) => number,
  threads: (options: HybridOptions) => number,
): Record<'reactor' | 'worker', PoolRole> {
  return {
    reactor: onThread({ count: reactors, handles: false, ownSocket: 'on ports' }, watch),
    worker: onThread({ count: threads, accepts: false, gather: GATHER_BYTES }, serve),
  }
}

type Context = RoleContext<HybridOptions, Partial<Pool>>

function watch({ listener, shared, service, stop, index, acceptedLast }: Context): void {
  const { lots, shut, takers } = shared as Pool
  const queue = new HotQueue((shared as Pool).queue, takers)
  const attendant = new Attendant(lots[index], service, queue)
  const reactor = new Reactor({ demultiplexer: attendant.demux, awake: () => service.tick() })
  const acceptor = new AcceptHandler(reactor, listener, service, (fd) => attendant.accepted(fd))
  let draining = false
  let isNeeded = true

  reactor.otherwise = (fd) => attendant.ready(fd) // armed by a worker
  new StopHandler(reactor, stop.fd, drain)
  while (!draining || (isNeeded && !stop.forced)) {
    reactor.handleEvents(acceptor.timeout(queue.isHeldBack ? PATIENCE_MS : attendant.timeout(draining)))
    attendant.hand()
    queue.review(service.now, PATIENCE_MS)
    const areAllShut = shut.every((_, i) => Atomics.load(shut, i) === 1) // asked first: then the table has all there are
    isNeeded = attendant.sweep(draining) || !areAllShut
  }
  queue.close()

  function drain(): void {
    draining = true
    acceptor.shut()
    acceptedLast()
    Atomics.store(shut, index, 1) // publishes the rows of what was accepted
  }
}

async function serve({ shared, service, index }: Context): Promise<void> {
  const { queue, takers, lots: epfds, workload } = shared as Pool
  const source = new HotQueue(queue, takers).taker(index)
  const row = workload.row(index, service.table)
  const lots = epfds.map((epfd) => new Lot(epfd, service))
  const thread = new BlockingThread(service)
  for await (const fd of thread.takenFrom(source, row)) {
    const lot = lots[fd % lots.length]
    const connection = lot.enter(fd)
    if (connection !== undefined) lot.leave(connection, await connection.exchange())
  }
  source.leave()
  await thread.finish()
  row.leave()
}
