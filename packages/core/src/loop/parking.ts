/**
 * A car park for connections: what has nothing to say waits on one epoll, not on a thread (man 7 epoll, EPOLLONESHOT).
 *
 *   Attendant, one thread:  accept ─▶ queue ◀─ ready ◀─ epoll        Lot, any thread:  queue ─▶ enter ─▶ serve ─▶ leave ─▶ epoll
 *
 * So a few threads serve any number of keep-alive clients, and a client that sends slowly, or reads slowly, holds no thread:
 * the bytes of an unfinished request or answer wait in memory that every thread can reach.
 */

import {
  BYTES_OUT,
  CLOSED,
  CLOSED_COUNT,
  Connection,
  LINGERING,
  QUIET_MS,
  type Remains,
  type Service,
  type Waiting,
  WRITABLE,
} from '../connection/index.js'
import { EpollDemultiplexer } from '../demux/index.js'
import { Block, close, EINTR, epoll_create1, type PosixError, send } from '../posix/index.js'
import { type Left, PARKED } from '../socket/index.js'

/** Bit of a row's flags, beside those of the connection: the epoll knows the descriptor, which is re-armed, not added. */
const REGISTERED = 1 << 8

/** Bytes of what is left that are sent at once. */
const PIECE = 256 * 1024

/** Milliseconds between two looks at what has been parked too long, and at what a drain can close. */
const SWEEP_MS = 500
const DRAIN_SWEEP_MS = 50

/** How epoll_ctl(2) says that a number is no longer that of the socket which was parked. */
const GONE: readonly unknown[] = ['EBADF', 'ENOENT', 'EPERM']

/** Where an attendant puts connections that are ready: a BoundedQueue is one. */
export interface Intake {
  /** Puts the first `count` descriptors in, and blocks while there is no room for all. */
  putMany(fds: Int32Array, count: number): unknown
}

/** Opens what a lot and its attendant share; whoever opened it closes it when all threads have ended. */
export function openLot(): number {
  return epoll_create1()
}

/** The workers' side of the park. Each thread has one of its own, on the same epoll. */
export class Lot {
  readonly #service: Service
  readonly #demux: EpollDemultiplexer
  #piece: Buffer | undefined
  #registered = 0

  constructor(epfd: number, service: Service) {
    this.#service = service
    this.#demux = new EpollDemultiplexer({ epfd })
  }

  /** Takes up a connection that came out of the queue; undefined where it is another's or has been ended. */
  enter(fd: number): Connection | undefined {
    const service = this.#service
    if (!service.table.claim(fd, service.owner)) return undefined
    service.tick()
    const left = service.table.left(fd)
    this.#registered = left.flags & REGISTERED
    const sent = this.#send(fd, left)
    if (sent === undefined) return undefined
    const connection = Connection.resume(service, fd, unpack(sent))
    if (connection.expired) connection.expire()
    return connection
  }

  /** Leaves the connection that was last entered until it is ready for what it waits for; forgets one that is closed. */
  leave(connection: Connection, waiting: Waiting): void {
    if (waiting === CLOSED) return
    this.#park(connection.fd, pack(connection.release()), waiting)
  }

  /**
   * Sends on from what an earlier thread could not send, without copying what the socket still does not take: a slow reader
   * of a large body comes by many times. Returns what is left if the connection can go on, undefined if it is parked again.
   */
  #send(fd: number, left: Left): Left | undefined {
    const { counters, now } = this.#service
    let { unsent, since } = left
    while (unsent > 0) {
      this.#piece ??= Buffer.allocUnsafeSlow(PIECE)
      const length = Math.min(unsent, PIECE)
      Block.at(left.address, left.size).read(left.size - unsent, this.#piece, 0, length)
      const n = send(fd, this.#piece, 0, length)
      if (n === -EINTR) continue
      if (n < 0) break
      counters[BYTES_OUT] += n
      unsent -= n
      since = now
      if (n < length) break
    }
    const rest = { ...left, unsent, since }
    if (unsent === 0 || unsent === left.unsent) return rest // done; or stuck or broken, which the connection finds out
    this.#park(fd, rest, WRITABLE)
    return undefined
  }

  #park(fd: number, left: Left, waiting: Waiting): void {
    this.#service.table.park(fd, left)
    try {
      if (this.#registered) this.#demux.rearm(fd, waiting)
      else this.#demux.addOnce(fd, waiting)
    } catch (error) {
      // Parked, it may have been ended before it was armed: its number is nobody's or another file's by now.
      if (!GONE.includes((error as PosixError).code)) throw error
    }
  }
}

/** The acceptor's side of the park: it alone waits on the epoll, and ends what nobody came for. */
export class Attendant {
  readonly demux: EpollDemultiplexer
  readonly #service: Service
  readonly #intake: Intake
  readonly #batch = new Int32Array(1024)
  #count = 0
  #sweepAt: number
  #parked = false

  constructor(epfd: number, service: Service, intake: Intake) {
    this.demux = new EpollDemultiplexer({ epfd })
    this.#service = service
    this.#intake = intake
    this.#sweepAt = service.now
  }

  /** Puts a connection that was just accepted into the next batch; false where the table has no row for it. */
  accepted(fd: number): boolean {
    if (!Connection.pass(this.#service, fd)) return false
    this.#add(fd)
    return true
  }

  /** Puts a parked connection that is ready into the next batch. */
  ready(fd: number): void {
    const { table, time } = this.#service
    if (!table.queue(fd)) return
    table.stamp(fd, time)
    this.#add(fd)
  }

  /** Has it look at the time from now on: others have accepted connections, and left them to be parked. */
  expect(): void {
    this.#parked = true
  }

  /** Hands the batch to the workers; blocks while there is no room for it. */
  hand(): void {
    if (this.#count === 0) return
    this.#intake.putMany(this.#batch, this.#count)
    this.#count = 0
  }

  /** Milliseconds until {@link sweep} should look again, -1 where there is nothing to look at. */
  timeout(draining: boolean): number {
    if (draining) return DRAIN_SWEEP_MS
    return this.#parked ? SWEEP_MS : -1
  }

  /**
   * Sends workers to what has been parked too long; while draining, ends what is idle. Cheap to call: unless it drains it
   * looks only when it is time. Returns whether there are connections, here or with the workers.
   */
  sweep(draining: boolean): boolean {
    const { table, now } = this.#service
    if (!draining && ((now - this.#sweepAt) | 0) < 0) return this.#parked
    this.#sweepAt = (now + SWEEP_MS) | 0
    for (const fd of table.overdue(now)) this.ready(fd)
    if (draining) endQuiet(this.#service)
    this.hand()
    this.#parked = table.size > 0
    return this.#parked
  }

  #add(fd: number): void {
    this.#parked = true
    this.#batch[this.#count++] = fd
    if (this.#count === this.#batch.length) this.hand()
  }
}

/** Closes the parked connections on which nothing is under way: what a drain does now and then. Any thread. */
export function endQuiet({ table, owner, counters, now }: Service): void {
  for (const fd of table.ownedBy(PARKED)) {
    if (!isQuiet(table.left(fd), now) || !table.reclaim(fd, owner)) continue
    counters[CLOSED_COUNT]++
    table.leave(fd)
    close(fd)
  }
}

/** True for a connection between two requests whose client has been silent for a while. */
function isQuiet({ since, flags, unparsed, unsent }: Left, now: number): boolean {
  return unparsed === 0 && unsent === 0 && (flags & LINGERING) === 0 && ((now - since) | 0) >= QUIET_MS
}

/** Nothing is left of a connection but the connection. */
const NOTHING = { address: 0, size: 0, unparsed: 0, unsent: 0 } as const

/** Puts what remains of a connection where every thread can reach it. */
function pack(remains: Remains): Left {
  const { since, limit, flags } = remains
  const unparsed = remains.unparsed?.length ?? 0
  const unsent = remains.unsent?.length ?? 0
  const size = unparsed + unsent
  if (size === 0) return { since, limit, flags: flags | REGISTERED, ...NOTHING }
  const block = Block.allocate(size)
  if (remains.unparsed) block.write(0, remains.unparsed)
  if (remains.unsent) block.write(unparsed, remains.unsent)
  return { since, limit, flags: flags | REGISTERED, address: block.address, size, unparsed, unsent }
}

/** Takes it out again, and frees the memory. */
function unpack({ since, limit, flags, address, size, unparsed, unsent }: Left): Remains {
  if (address === 0) return { since, limit, flags, unparsed: undefined, unsent: undefined }
  const block = Block.at(address, size)
  const remains = { unparsed: bytesOf(block, 0, unparsed), unsent: bytesOf(block, size - unsent, unsent) }
  block.free()
  return { since, limit, flags, ...remains }
}

function bytesOf(block: Block, offset: number, length: number): Buffer | undefined {
  if (length === 0) return undefined
  const bytes = Buffer.allocUnsafeSlow(length)
  block.read(offset, bytes)
  return bytes
}
