/**
 * Runs the units of a server: starts them in order, replaces one that dies, stops them all.
 *
 *   start ─▶ RUNNING ── a unit dies ─▶ its connections closed, counted, the unit started again (with backoff)
 *               │  └─── dies again and again without serving ─▶ the server fails
 *            drain ─▶ DRAINING ── every role has returned, or the deadline ─▶ FORCED ─▶ ended
 */

import { availableParallelism } from 'node:os'
import { CLOSED_COUNT, type FetchApp } from '../connection/index.js'
import { close, descriptorLimit, eventfd, eventfdSignal, SHUT_RDWR, shutdown } from '../posix/index.js'
import type { ConnectionTable, Listener } from '../socket/index.js'
import { type Control, DRAINING, ENDED, FORCED, RUNNING, STARTING, type UnitCells } from './control.js'
import { startUnit, type Unit } from './unit.js'
import type { UnitBoot, UnitMessage } from './unit-run.js'

/** A unit that dies so often in a row, without having served or lived a while, is not started again. */
const MOST_DEATHS = 5
const A_WHILE_MS = 2000

/** Milliseconds before a unit is started again: none the first time, then doubling up to the last. */
const FIRST_BACKOFF_MS = 50
const LAST_BACKOFF_MS = 2000

/** Milliseconds between two attempts to wake what is blocked, while a stop is under way. */
const WAKE_MS = 20

/** Descriptors of a process below which units start one by one: each opens a few dozen files while it loads. */
const SCARCE_DESCRIPTORS = 256

/** One unit that is to run. */
export interface UnitPlan {
  readonly boot: UnitBoot
  readonly place: 'thread' | 'process' | 'caller'
  /** Whether its role accepts connections. */
  readonly accepts: boolean
  /** Whether it may be blocked in accept(2), from which no eventfd wakes it. */
  readonly blocks: boolean
}

export interface SupervisorOptions {
  readonly model: string
  readonly units: readonly UnitPlan[]
  readonly control: Control
  readonly listener: Listener
  /** The table of the threads of this process; child processes have their own. */
  readonly table: ConnectionTable
  /** The app, where it is a function that runs on the calling thread. */
  readonly app: FetchApp | undefined
  /** Wakes what blocks on the model's shared objects, once the stop is forced. */
  readonly release: () => void
  readonly log: (message: string) => void
}

/** A server whose units died again and again, or whose role failed to start. */
export class ServerError extends Error {
  readonly code: string = 'ERR_CS_SERVER'
  override readonly name: string = 'ServerError'
}

/** A unit and what the supervisor knows of it. */
class Seat {
  readonly plan: UnitPlan
  readonly cells: UnitCells
  unit: Unit | undefined
  ready = false
  acceptedLast = false
  deaths = 0
  startedAt = 0
  requestsAtStart = 0
  retry: NodeJS.Timeout | undefined

  constructor(plan: UnitPlan, cells: UnitCells) {
    this.plan = plan
    this.cells = cells
  }

  /** True where the unit that died had been of use, so that its death is an accident and no loop. */
  get wasOfUse(): boolean {
    const served = this.cells.counts().requests > this.requestsAtStart
    return this.ready && (served || Date.now() - this.startedAt >= A_WHILE_MS)
  }
}

export class Supervisor {
  /** Resolves when every unit is gone; rejects with ServerError where the server failed. */
  readonly ended: Promise<void>
  readonly #options: SupervisorOptions
  readonly #seats: readonly Seat[]
  #resolve: () => void = () => {}
  #reject: (error: Error) => void = () => {}
  #failure: Error | undefined
  #started: { resolve: () => void; reject: (error: Error) => void } | undefined
  #waker: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined
  #startedUnits = 0
  #listening = true
  /** True once every unit is gone and every descriptor given back. */
  #over = false
  readonly #onExit = () => this.#abandon()

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#seats = options.units.map((plan, index) => new Seat(plan, options.control.unit(index)))
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.ended.catch(() => {}) // told again to whoever awaits it
  }

  /** Starts all units; resolves when all are ready, rejects, with everything ended, when one fails. */
  start(): Promise<void> {
    process.on('exit', this.#onExit)
    return new Promise((resolve, reject) => {
      this.#started = { resolve, reject }
      const together = descriptorLimit().soft < SCARCE_DESCRIPTORS ? 1 : availableParallelism()
      for (let i = 0; i < together; i++) this.#startNext()
    })
  }

  /** More units than processors would start no sooner together. */
  #startNext(): void {
    const seat = this.#seats[this.#startedUnits]
    if (seat === undefined || this.#failure !== undefined) return
    this.#startedUnits++
    this.#startUnit(seat)
  }

  /** Stops in order: no more connections, requests in flight finish; what is left after the deadline is cut. */
  drain(deadlineMs: number): void {
    if (this.#options.control.phase !== RUNNING) return
    this.#deadline = setTimeout(() => this.force(), deadlineMs)
    this.#stop(DRAINING)
  }

  /** Ends everything now. */
  force(): void {
    if (this.#options.control.phase === FORCED || this.#over) return
    this.#stop(FORCED)
    this.#options.release()
    for (const fd of this.#connections()) shutdown(fd, SHUT_RDWR) // wakes whoever is blocked on it
    for (const seat of this.#seats) seat.unit?.kill()
  }

  #stop(phase: number): void {
    const { control, listener } = this.#options
    control.phase = phase
    for (const seat of this.#seats) clearTimeout(seat.retry)
    if (this.#listening) listener.unblock()
    this.#wake()
    this.#waker ??= setInterval(() => this.#wake(), WAKE_MS)
    this.#endIfGone()
  }

  /** A blocked unit reads no message: it is woken where it waits, by its eventfd or by a connection that closes at once. */
  #wake(): void {
    for (const { plan, unit, acceptedLast } of this.#seats) {
      if (unit === undefined) continue
      if (plan.boot.stopFd >= 0) eventfdSignal(plan.boot.stopFd)
      if (this.#listening && plan.blocks && !acceptedLast) this.#options.listener.wake()
    }
  }

  #startUnit(seat: Seat): void {
    seat.ready = false
    seat.startedAt = Date.now()
    seat.requestsAtStart = seat.cells.counts().requests
    seat.cells.state = STARTING
    const { boot, place } = seat.plan
    try {
      seat.unit = startUnit(boot, place, this.#options.app, {
        message: (message) => this.#hear(seat, message),
        ended: (reason) => this.#ended(seat, reason),
      })
    } catch (error) {
      this.#ended(seat, `it cannot be started: ${error instanceof Error ? error.message : error}`)
    }
  }

  #hear(seat: Seat, message: UnitMessage): void {
    if (message.type === 'ready') {
      seat.ready = true
      if (this.#started !== undefined) this.#startNext()
    }
    if (message.type === 'accepted last') seat.acceptedLast = true
    if (message.type === 'failed' && this.#started !== undefined)
      this.#fail(this.#describe(seat, message.message, message.stack))
    if (this.#started !== undefined && this.#seats.every((each) => each.ready)) {
      this.#started.resolve()
      this.#started = undefined
    }
    this.#closeListener()
  }

  /** The listening socket is closed when nobody will accept from it any more, so that its backlog is not lost. */
  #closeListener(): void {
    const accepting = this.#seats.some((seat) => seat.unit !== undefined && !seat.acceptedLast && seat.plan.accepts)
    if (!this.#listening || !this.#options.control.stopping || accepting) return
    this.#listening = false
    this.#options.listener.close()
  }

  #ended(seat: Seat, reason: string | undefined): void {
    seat.unit = undefined
    seat.cells.state = ENDED
    const held = seat.cells.takeHeld()
    if (reason !== undefined && seat.plan.place !== 'process') for (const fd of held) close(fd)
    const lost = this.#closeConnectionsOf(seat)
    if (this.#options.control.stopping) return this.#endIfGone()
    const error = this.#describe(seat, reason ?? 'its role returned though the server runs')
    if (this.#started !== undefined) return this.#fail(error)
    seat.deaths = seat.wasOfUse ? 1 : seat.deaths + 1
    if (seat.deaths >= MOST_DEATHS) {
      return this.#fail(this.#describe(seat, `it died ${seat.deaths} times in a row, the last time: ${reason}`))
    }
    const delay = seat.deaths === 1 ? 0 : Math.min(FIRST_BACKOFF_MS * 2 ** (seat.deaths - 2), LAST_BACKOFF_MS)
    this.#options.log(`${error.message}; ${lost} connections lost; starting it again in ${delay} ms`)
    seat.cells.countRestart()
    seat.retry = setTimeout(() => this.#startUnit(seat), delay)
  }

  /** Closes what a dead unit owned, and settles its count. */
  #closeConnectionsOf(seat: Seat): number {
    const { table } = this.#options
    if (seat.plan.place === 'process') {
      const { accepted, closed } = seat.cells.counts()
      const lost = accepted - closed
      seat.cells.counters[CLOSED_COUNT] += lost
      return lost
    }
    let lost = 0
    for (const fd of table.ownedBy(seat.plan.boot.unit + 1)) {
      table.leave(fd)
      shutdown(fd, SHUT_RDWR) // a ring of io_uring that its thread left behind may hold the socket open
      close(fd)
      seat.cells.counters[CLOSED_COUNT]++
      lost++
    }
    return lost
  }

  #connections(): number[] {
    return this.#seats.flatMap((seat) => [...this.#options.table.ownedBy(seat.plan.boot.unit + 1)])
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.force()
  }

  #endIfGone(): void {
    if (this.#seats.some((seat) => seat.unit !== undefined)) return this.#closeListener()
    if (this.#over) return // its descriptors may be another's by now
    this.#over = true
    clearInterval(this.#waker)
    clearTimeout(this.#deadline)
    process.off('exit', this.#onExit)
    if (this.#listening) {
      this.#options.listener.refuse() // likewise
      this.#options.listener.close()
    }
    this.#listening = false
    this.#seats[0].cells.counters[CLOSED_COUNT] += this.#options.table.closeAll()
    for (const { plan } of this.#seats) if (plan.boot.stopFd >= 0) close(plan.boot.stopFd)
    this.#options.control.close()
    this.#started?.reject(this.#failure ?? new ServerError('the server was stopped while it started'))
    if (this.#failure === undefined) this.#resolve()
    else this.#reject(this.#failure)
  }

  /** The process exits while units run: it joins its threads, so each must be woken or it hangs for ever. */
  #abandon(): void {
    const { control, listener, release } = this.#options
    control.phase = FORCED
    if (this.#listening) {
      listener.refuse() // wakes every accept(2)
      listener.close()
    }
    for (const { plan, unit } of this.#seats) {
      if (plan.boot.stopFd >= 0) eventfdSignal(plan.boot.stopFd)
      unit?.abandon()
    }
    release()
    for (const fd of this.#connections()) shutdown(fd, SHUT_RDWR)
  }

  #describe({ plan }: Seat, reason: string, stack = reason): ServerError {
    const error = new ServerError(`${this.#options.model}: ${plan.boot.name} (${plan.boot.role}) failed: ${reason}`)
    error.stack = `${error.name}: ${error.message}\n${stack}`
    return error
  }
}

/** Makes the eventfd by which a thread is woken from its wait. */
export function stopFdFor(place: UnitPlan['place']): number {
  return place === 'process' ? -1 : eventfd(0, { nonblocking: true })
}
