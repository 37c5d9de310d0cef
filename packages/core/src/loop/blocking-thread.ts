/**
 * A thread that blocks: in accept(2), in poll(2), on a queue.
 *
 * Node's event loop stands still meanwhile. What a handler awaits runs, since the thread awaits the handler; but timers that an
 * app set for later, and work it left behind when it had answered, need turns of their own. So the thread blocks no longer
 * than libuv's next timer, and breathes now and then after the app ran.
 */

import { type Connection, monotonicTime, QUIET_MS, type Service } from '../connection/index.js'
import { EINTR, POLLIN, poll, pollOne, uvLoop } from '../posix/index.js'
import { EXHAUSTED, EXHAUSTED_PAUSE_MS, type Listener, STOPPED } from '../socket/index.js'
import type { Source } from '../sync/index.js'
import { Turn } from './turn.js'

/** Milliseconds for which work that an app left behind may wait while the thread has nothing else to do, or has. */
const QUIET_DEBT_MS = 1
const BUSY_DEBT_MS = 10

const FOREVER = Number.POSITIVE_INFINITY

/** Who may want the thread that is with a client: the clients in a listener's backlog, or whoever ends the server. */
export interface Rival {
  /** Readable when somebody does. */
  readonly fd: number
  /** True once the thread is to end. */
  readonly stopping: boolean
  /** Readable when the thread is to end, where `fd` does not tell. Default: it does. */
  readonly stopFd?: number
  /** Asked before a thread gives its client up, where several hear of the same rival: whether it is the one to do so. */
  readonly takes?: () => boolean
  /** Told that the thread waits for its client, and that it goes on. */
  readonly rests?: () => void
  readonly resumes?: () => void
}

/** Who is told when a thread that takes from a queue has something to do, and when it has nothing more. */
export interface Shift {
  /** `fd` was taken, at this time of the monotonic clock. Nothing of the app runs between the two. */
  begins(fd: number, time: number): void
  /** The queue is empty: the thread is about to sleep. */
  ends(time: number): void
}

export class BlockingThread {
  readonly #service: Service
  #turn: Turn | null
  #lastTurn = performance.now()
  readonly #watched = new Int32Array(6)

  constructor(service: Service, turn: Turn | null = new Turn(false)) {
    this.#service = service
    this.#turn = turn
  }

  /** The thread of a child that was just forked, which must not share its parent's turns; most need none. The child only. */
  static forked(service: Service): BlockingThread {
    return new BlockingThread(service, null)
  }

  /**
   * Accepts connections until the server stops; blocks in accept(2). What waits by then is accepted at once, so that the
   * socket can be closed and no later client waits in vain (`acceptedLast`), and then given as well; also where the stop
   * comes while the thread waits for a handler. The sockets that it gives block, unless they are to be `nonblocking`.
   */
  async *acceptedFrom(listener: Listener, acceptedLast: () => void, nonblocking = false): AsyncGenerator<number> {
    let last: number[] | undefined
    const end = (): void => {
      if (last !== undefined || !listener.stopping) return
      last = listener.takeLast(nonblocking)
      acceptedLast()
    }
    listener.onStop = end
    while (!listener.stopping) {
      this.#service.rest()
      const patience = this.patience
      if (this.isLate || (patience !== FOREVER && pollOne(listener.fd, POLLIN, milliseconds(patience)) === 0)) {
        await this.breathe()
        continue
      }
      const fd = listener.take(nonblocking)
      if (fd === STOPPED) break
      if (fd === EXHAUSTED) await new Promise((resolve) => setTimeout(resolve, EXHAUSTED_PAUSE_MS))
      this.#service.tick()
      if (fd >= 0) yield fd
    }
    end()
    yield* last ?? []
  }

  /** Takes from a queue until it is closed, or the thread dismissed; blocks on a futex while it is empty. */
  async *takenFrom(queue: Source, shift?: Shift): AsyncGenerator<number> {
    const service = this.#service
    for (;;) {
      if (this.isLate) await this.breathe()
      service.rest()
      let item: number | string = queue.tryTake()
      if (item === 'empty') {
        shift?.ends(monotonicTime())
        item = queue.take(this.patience)
      }
      if (item === 'closed' || item === 'dismissed') return
      if (typeof item !== 'number') await this.breathe()
      else {
        service.tick()
        shift?.begins(item, service.time)
        yield item
      }
    }
  }

  /**
   * Waits, between two requests of a connection, for the next one: true once the client sends, or leaves. A thread that
   * serves one connection at a time keeps a client only while nobody else waits for it, as in the backlog of its listener; one
   * that has not yet sent its first byte, or that was answered just now, is given a moment.
   */
  async staysOn(connection: Connection, rival: Rival): Promise<boolean> {
    if (connection.closed) return false
    rival.rests?.()
    const stays = await this.#waits(connection, rival)
    rival.resumes?.()
    return stays
  }

  async #waits(connection: Connection, rival: Rival): Promise<boolean> {
    const { fd } = connection
    const watched = this.#watched
    while (!connection.closed) {
      if (rival.stopping) return sends(fd, QUIET_MS)
      watched.set([fd, POLLIN, rival.fd, POLLIN, rival.stopFd ?? -1, POLLIN])
      this.#service.rest()
      const ready = poll(watched, 3, milliseconds(Math.min(this.patience, connection.patience)))
      this.#service.tick()
      if (ready > 0 && watched[1] >>> 16 !== 0) return true
      if (ready > 0 && !rival.stopping && watched[3] >>> 16 !== 0) {
        const moment = connection.fresh ? connection.patience : Math.max(0, QUIET_MS - connection.silence)
        if (sends(fd, moment)) return true
        if (rival.takes === undefined || rival.takes()) return false
        this.#service.tick()
      }
      if (connection.expired) return false
      if (ready === 0) await this.breathe()
    }
    return false
  }

  /** Lets what the app left behind, but for timers and I/O, come to its end before the thread does. */
  async finish(): Promise<void> {
    if (this.#service.appRan) await this.breathe()
  }

  close(): void {
    this.#turn?.close()
  }

  /** Milliseconds for which the thread may block. */
  get patience(): number {
    const due = uvLoop()?.timeout() ?? -1
    const limit = this.#service.appRan ? QUIET_DEBT_MS : FOREVER
    return due < 0 ? limit : Math.min(due, limit)
  }

  /** True where the app has left work behind for so long that even a busy thread should breathe. */
  get isLate(): boolean {
    return this.#service.appRan && performance.now() - this.#lastTurn >= BUSY_DEBT_MS
  }

  /** Gives Node's event loop the turn that it is owed. */
  async breathe(): Promise<void> {
    this.#service.appRan = false
    this.#turn ??= new Turn(false)
    this.#service.tick()
    await this.#turn.take()
    this.#lastTurn = performance.now()
  }
}

/** Waits for a client to send, or leave, for so many milliseconds, through the signals by which the host wakes a process. */
function sends(fd: number, ms: number): boolean {
  const end = performance.now() + ms
  let ready: number
  do ready = pollOne(fd, POLLIN, milliseconds(Math.max(0, end - performance.now())))
  while (ready === -EINTR)
  return ready > 0
}

/** What poll(2) takes for a time that may be endless. */
function milliseconds(time: number): number {
  return time === FOREVER ? -1 : Math.ceil(time)
}
