/**
 * A thread that blocks: in accept(2), in poll(2), on a queue.
 *
 * Node's event loop stands still meanwhile. What a handler awaits runs, since the thread awaits the handler; but timers that an
 * app set for later, and work it left behind when it had answered, need turns of their own. So the thread blocks no longer
 * than libuv's next timer, and breathes now and then after the app ran.
 */

import type { Connection, Service } from '../connection/index.js'
import { POLLIN, poll, pollOne, uvLoop } from '../posix/index.js'
import { EXHAUSTED, EXHAUSTED_PAUSE_MS, type Listener, STOPPED } from '../socket/index.js'
import type { BoundedQueue } from '../sync/index.js'
import { Turn } from './turn.js'

/** Milliseconds for which work that an app left behind may wait while the thread has nothing else to do, or has. */
const QUIET_DEBT_MS = 1
const BUSY_DEBT_MS = 10

/** Milliseconds in which a client that was just answered may send again before its place is given away. */
const MOMENT_MS = 50

const FOREVER = Number.POSITIVE_INFINITY

export class BlockingThread {
  readonly #service: Service
  readonly #turn = new Turn(false)
  readonly #pair = new Int32Array(4)

  constructor(service: Service) {
    this.#service = service
  }

  /**
   * Accepts connections until the server stops; blocks in accept(2). What waits by then is accepted at once, so that the
   * socket can be closed and no later client waits in vain (`acceptedLast`), and then given as well.
   */
  async *acceptedFrom(listener: Listener, acceptedLast: () => void): AsyncGenerator<number> {
    while (!listener.stopping) {
      const patience = this.#patience()
      if (this.#isLate() || (patience !== FOREVER && pollOne(listener.fd, POLLIN, milliseconds(patience)) === 0)) {
        await this.#breathe()
        continue
      }
      const fd = listener.take(false)
      if (fd === STOPPED) break
      if (fd === EXHAUSTED) await new Promise((resolve) => setTimeout(resolve, EXHAUSTED_PAUSE_MS))
      this.#service.tick()
      if (fd >= 0) yield fd
    }
    const last = listener.takeLast(false)
    acceptedLast()
    yield* last
  }

  /** Takes from a queue until it is closed; blocks on a futex while it is empty. */
  async *takenFrom(queue: BoundedQueue): AsyncGenerator<number> {
    for (;;) {
      if (this.#isLate()) await this.#breathe()
      let item: number | string = queue.tryTake()
      if (item === 'empty') item = queue.take(this.#patience())
      if (item === 'closed') return
      if (typeof item === 'number') yield item
      else await this.#breathe()
    }
  }

  /**
   * Waits, between two requests of a connection, for the next one: true once the client sends, or leaves. A thread that
   * serves one connection at a time keeps a client only while nobody else waits in the listener's backlog; one that has not
   * yet sent its first byte, or that was answered just now, is given a moment.
   */
  async staysOn(connection: Connection, listener: Listener): Promise<boolean> {
    const pair = this.#pair
    while (!connection.closed) {
      if (listener.stopping) return pollOne(connection.fd, POLLIN, MOMENT_MS) > 0
      pair.set([connection.fd, POLLIN, listener.fd, POLLIN])
      const ready = poll(pair, 2, milliseconds(Math.min(this.#patience(), connection.patience)))
      this.#service.tick()
      if (ready > 0 && pair[1] >>> 16 !== 0) return true
      if (ready > 0 && pair[3] >>> 16 !== 0) {
        if (listener.stopping) continue
        const moment = connection.fresh ? connection.patience : MOMENT_MS
        return pollOne(connection.fd, POLLIN, milliseconds(moment)) > 0
      }
      if (connection.expired) return false
      if (ready === 0) await this.#breathe()
    }
    return false
  }

  close(): void {
    this.#turn.close()
  }

  /** Milliseconds for which the thread may block. */
  #patience(): number {
    const due = uvLoop()?.timeout() ?? -1
    const limit = this.#service.appRan ? QUIET_DEBT_MS : FOREVER
    return due < 0 ? limit : Math.min(due, limit)
  }

  /** True where the app has left work behind for so long that even a busy thread should breathe. */
  #isLate(): boolean {
    return this.#service.appRan && performance.now() - this.#turn.last >= BUSY_DEBT_MS
  }

  #breathe(): Promise<void> {
    this.#service.appRan = false
    return this.#turn.take()
  }
}

/** What poll(2) takes for a time that may be endless. */
function milliseconds(time: number): number {
  return time === FOREVER ? -1 : Math.ceil(time)
}
