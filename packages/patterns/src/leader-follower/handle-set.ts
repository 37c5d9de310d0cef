/**
 * The handle set of leader and followers: one epoll(7) with the listening socket and every idle connection, each of these armed
 * for one event, and the events that the last wait brought and nobody has taken yet.
 *
 * The leader alone looks at it, so none of its cells needs a lock: what one leader wrote is visible to the next, since the lead
 * passes under the lock of the thread set. Events stay here when their leader dies. What a wait brings at once is taken one event
 * a leader; a leader that finds events need not wait.
 */

import { Connection, Door, EpollDemultiplexer, endQuiet, READABLE, type RoleContext } from '@cs/core'
import { epoll_create1 } from '@cs/core/posix'
import type { Leader } from './thread-set.js'

/** What the threads share of it. */
export interface Handles {
  readonly epfd: number
  readonly cells: Int32Array
  /** Until when accepting pauses; see Door. */
  readonly pause: Float64Array
}

/** The cells, written by leaders alone. */
const HEAD = 0 // the next event to take, counted
const TAIL = 1 // the next to be put, counted
/** 1 once a leader has taken the last of those who wait to be accepted. */
const DRAINING = 2
const SWEEP_AT = 3
/** 1 while there may be connections, here or with a thread. */
const INHABITED = 4
const HEADER = 16

/** Events that there is room for: more than a wait brings, and than any backlog holds when it is emptied for the last time. */
const ROOM = 1 << 17

/** Milliseconds between two looks at what has waited too long, and at what a drain can close. */
const SWEEP_MS = 500
const DRAIN_SWEEP_MS = 50

/** Makes what the threads share; whoever made it closes the epoll when all have ended. */
export function openHandles(): Handles {
  return {
    epfd: epoll_create1(),
    cells: new Int32Array(new SharedArrayBuffer((HEADER + ROOM) * 4)),
    pause: new Float64Array(new SharedArrayBuffer(8)),
  }
}

type Context = Pick<RoleContext<unknown, unknown>, 'listener' | 'service' | 'stop' | 'acceptedLast'>

/** One thread's view. All that takes a Leader is for the thread that leads. */
export class HandleSet {
  readonly #cells: Int32Array
  readonly #pause: Float64Array
  readonly #demux: EpollDemultiplexer
  readonly #context: Context
  #door: Door | undefined
  #hasAcceptedLast = false

  constructor({ epfd, cells, pause }: Handles, context: Context) {
    this.#cells = cells
    this.#pause = pause
    this.#demux = new EpollDemultiplexer({ epfd })
    this.#context = context
    this.#demux.addOnce(context.stop.fd, READABLE) // the leader, whoever it is, hears of the stop once from each
  }

  /** True where events are left that need no wait. Any thread: a hint. */
  get hasEvents(): boolean {
    return Atomics.load(this.#cells, HEAD) !== Atomics.load(this.#cells, TAIL)
  }

  /** Tells the host, once a leader has emptied the backlog, that this thread takes no more either. Owner thread only. */
  heed(): void {
    if (this.#hasAcceptedLast || this.#cells[DRAINING] === 0) return
    this.#hasAcceptedLast = true
    this.#context.acceptedLast()
  }

  /**
   * Takes the next event: the descriptor of a connection that is new, ready, or overdue. Waits for it, at most so long, where there
   * is none. Undefined where none came, 'over' once the server has stopped and nothing is left to come.
   */
  next(leader: Leader, timeoutMs: number): number | 'over' | undefined {
    const { stop } = this.#context
    if (stop.forced) return 'over'
    if (stop.requested && this.#cells[DRAINING] === 0) this.#drain(leader)
    if (!this.hasEvents) this.#wait(leader, timeoutMs)
    if (this.hasEvents) return this.#cells[HEADER + (this.#cells[HEAD]++ & (ROOM - 1))]
    return this.#cells[DRAINING] === 1 && this.#cells[INHABITED] === 0 ? 'over' : undefined
  }

  #wait(leader: Leader, timeoutMs: number): void {
    const { service } = this.#context
    const isDraining = this.#cells[DRAINING] === 1
    const door = isDraining ? undefined : this.#openDoor()
    const limit = this.#limit(isDraining, timeoutMs)
    const ready = leader.wait(this.#demux, door?.timeout(limit) ?? limit)
    service.tick()
    for (let i = 0; i < ready; i++) {
      const fd = this.#demux.fd(i)
      if (!door?.takes(fd)) this.#ready(fd) // the stop's is no connection's
    }
    this.#sweep(isDraining)
  }

  /** Milliseconds for which the wait may last, -1 for any. */
  #limit(isDraining: boolean, timeoutMs: number): number {
    const most = isDraining ? DRAIN_SWEEP_MS : this.#cells[INHABITED] === 1 ? SWEEP_MS : Number.POSITIVE_INFINITY
    const limit = Math.min(most, timeoutMs)
    return limit === Number.POSITIVE_INFINITY ? -1 : Math.ceil(limit)
  }

  /** The listening socket is watched from the first lead on. */
  #openDoor(): Door {
    const { listener, service } = this.#context
    this.#door ??= new Door(listener, this.#demux, service, (fd) => this.#accepted(fd), this.#pause)
    return this.#door
  }

  #accepted(fd: number): void {
    if (!Connection.pass(this.#context.service, fd)) return
    this.#cells[INHABITED] = 1
    this.#put(fd)
  }

  #ready(fd: number): void {
    const { table, time } = this.#context.service
    if (!table.queue(fd)) return
    table.stamp(fd, time)
    this.#put(fd)
  }

  #put(fd: number): void {
    this.#cells[HEADER + (this.#cells[TAIL]++ & (ROOM - 1))] = fd
  }

  /** Takes all that wait to be accepted, for the last time, and has every thread say so. */
  #drain(leader: Leader): void {
    this.#openDoor().shut()
    this.#cells[DRAINING] = 1
    this.#cells[INHABITED] = 1
    leader.stir()
    this.heed()
  }

  /** Has threads see to what has been silent too long; while draining, ends what is idle. Looks only when it is time. */
  #sweep(isDraining: boolean): void {
    const { service } = this.#context
    const { table, now } = service
    if (!isDraining && ((now - this.#cells[SWEEP_AT]) | 0) < 0) return
    this.#cells[SWEEP_AT] = now + SWEEP_MS
    for (const fd of table.overdue(now)) this.#ready(fd)
    if (isDraining) endQuiet(service)
    this.#cells[INHABITED] = table.size > 0 ? 1 : 0
  }
}
