/**
 * Runs the units of a server: starts them in order, replaces one that dies, is stuck or asks for it, adds and takes away
 * some while the server runs, stops them all.
 *
 *   start ─▶ RUNNING ── a unit dies ─▶ its connections closed, counted, the unit started again (with backoff)
 *               │  └─── dies again and again without serving ─▶ the server fails
 *            drain ─▶ DRAINING ── every role has returned, or the deadline ─▶ FORCED ─▶ ended
 */

import { availableParallelism } from 'node:os'
import {
  BLOCKING_TICK_MS,
  CLOSED_COUNT,
  COUNTERS,
  type Counts,
  countsOf,
  type FetchApp,
  LOST,
  monotonicNow,
  sumOf,
} from '../connection/index.js'
import { close, descriptorLimit, eventfd, eventfdSignal, SHUT_RDWR, shutdown } from '../posix/index.js'
import type { ConnectionTable, Listener } from '../socket/index.js'
import { CLOSE, type Control, DRAINING, ENDED, FORCED, LEAVE, RUNNING, STARTING, STAY } from './control.js'
import { Occupant, type RolePlan, Seat } from './seat.js'
import { HANDSHAKE_MS, type Sockets } from './sockets.js'
import { startUnit } from './unit.js'
import type { UnitMessage } from './unit-run.js'

/** A unit that dies so often in a row, without having been of use, is not started again. */
const MOST_DEATHS = 5

/** Milliseconds before a unit is started again: none the first time, then doubling up to the last. */
const FIRST_BACKOFF_MS = 50
const LAST_BACKOFF_MS = 2000

/** Milliseconds between two attempts to wake what is blocked, while something is to stop. */
const WAKE_MS = 20

/** How often in the time that a unit may be silent the host looks for a sign of life. */
const LOOKS = 4

/** Descriptors of a process below which units start one by one: each opens a dozen files and more while it loads. */
const SCARCE_DESCRIPTORS = 256

export interface SupervisorOptions {
  readonly model: string
  readonly roles: readonly RolePlan[]
  /** Has room for {@link slotsFor} the roles. */
  readonly control: Control
  readonly sockets: Sockets
  /** The table of the threads of this process; child processes have their own. */
  readonly table: ConnectionTable
  /** The app, where it is a function that runs on the calling thread. */
  readonly app: FetchApp | undefined
  /** Milliseconds that a unit gets to become ready. */
  readonly startTimeout: number
  /** Wakes what blocks on the model's shared objects, once the stop is forced. */
  readonly release: () => void
  readonly log: (message: string) => void
}

/** A server whose units died again and again, or whose role failed to start; or one that cannot do what is asked of it. */
export class ServerError extends Error {
  readonly code: string = 'ERR_CS_SERVER'
  override readonly name: string = 'ServerError'
}

/** How many units there may be at once: besides those that run, those that leave. */
export function slotsFor(roles: readonly Pick<RolePlan, 'count' | 'resizable'>[]): number {
  return roles.reduce((sum, { count, resizable }) => sum + 2 * Math.max(count, resizable?.max ?? 0), 0)
}

type Resizable = RolePlan & { readonly resizable: NonNullable<RolePlan['resizable']> }

export class Supervisor {
  /** Resolves when every unit is gone; rejects with ServerError where the server failed. */
  readonly ended: Promise<void>
  readonly #options: SupervisorOptions
  readonly #seats: Seat[]
  readonly #freeSlots: number[]
  /** What was done on seats that are no more. */
  #former: Counts = sumOf([])
  #resolve: () => void = () => {}
  #reject: (error: Error) => void = () => {}
  #failure: Error | undefined
  #started: { resolve: () => void; reject: (error: Error) => void } | undefined
  #waker: NodeJS.Timeout | undefined
  #watch: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined
  #startedSeats = 0
  /** Units that a role has asked for and that are not being started yet. */
  #awaited = 0
  /** Failures to start one of those, in a row. */
  #misfires = 0
  #pause: NodeJS.Timeout | undefined
  /** Units that were dismissed and have not returned. */
  #dismissed = 0
  /** True once every unit is gone and every descriptor given back. */
  #over = false
  readonly #onExit = () => this.#abandon()

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#seats = options.roles.flatMap((plan) =>
      Array.from({ length: plan.count }, (_, index) => new Seat(plan, index, this.#listenerFor(plan, index))),
    )
    this.#freeSlots = Array.from({ length: options.control.units }, (_, slot) => slot)
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.ended.catch(() => {}) // told again to whoever awaits it
  }

  /** The seats that are filled, and those that empty. */
  get seats(): readonly Seat[] {
    return this.#seats
  }

  /** What was done on seats that are no more. */
  get former(): Counts {
    return this.#former
  }

  /** Starts all units; resolves when all are ready, rejects, with everything ended, when one fails. */
  start(): Promise<void> {
    process.on('exit', this.#onExit)
    const heartbeat = Math.min(...this.#options.roles.map(({ heartbeat }) => heartbeat || Number.POSITIVE_INFINITY))
    if (heartbeat !== Number.POSITIVE_INFINITY) {
      this.#watch = setInterval(() => this.#endStuck(), Math.ceil(heartbeat / LOOKS))
    }
    return new Promise((resolve, reject) => {
      this.#started = { resolve, reject }
      const together = descriptorLimit().soft < SCARCE_DESCRIPTORS ? 1 : availableParallelism()
      for (let i = 0; i < together; i++) this.#startNext()
    })
  }

  /**
   * Adds a unit to the role that can be resized; returns how many it has then. At its bound nothing changes.
   * @throws ServerError where no role can, PosixError where a socket cannot be opened
   */
  grow(): number {
    const plan = this.#resizable()
    const count = this.#count(plan)
    const spare = this.#freeSlots.length
    if (count >= plan.resizable.max || spare === 0 || this.#options.control.phase !== RUNNING) return count
    plan.population?.admit()
    this.#addSeat(plan)
    return count + 1
  }

  /**
   * Takes a unit away from the role that can be resized, in order: it accepts no more and finishes what it has. Returns how
   * many stay. At its bound nothing changes.
   * @throws ServerError where no role can
   */
  shrink(): number {
    const plan = this.#resizable()
    const count = this.#count(plan)
    if (count <= plan.resizable.min || this.#options.control.phase !== RUNNING) return count
    if (plan.population === undefined) this.#retire(this.#staying(plan).at(-1)!)
    else {
      this.#dismissed++
      plan.population.dismiss()
    }
    return count - 1
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
    for (const { unit } of this.#occupants()) unit?.kill()
  }

  #retire(seat: Seat): void {
    const { sockets } = this.#options
    seat.retired = true
    if (seat.plan.ownSocket) {
      sockets.turnAway(seat.listener)
      seat.grace = setTimeout(() => this.#empty(seat, CLOSE), HANDSHAKE_MS)
    } else this.#empty(seat, LEAVE)
  }

  #addSeat(plan: RolePlan): void {
    const { sockets } = this.#options
    const taken = new Set(this.#seats.filter((seat) => seat.plan === plan).map(({ index }) => index))
    let index = 0
    while (taken.has(index)) index++
    const seat = new Seat(plan, index, plan.ownSocket ? sockets.add() : sockets.first)
    this.#seats.push(seat)
    this.#startUnit(seat)
  }

  /** Starts units that were asked for, only so many at a time, since those that serve need the processors too. */
  #startAwaited(): void {
    const { roles, control } = this.#options
    const plan = roles.find(({ population }) => population !== undefined)
    if (plan === undefined || control.phase === FORCED || this.#pause !== undefined || this.#started !== undefined)
      return
    const most = plan.resizable?.max ?? Number.POSITIVE_INFINITY
    while (this.#awaited > 0 && this.#freeSlots.length > 0) {
      const there = this.#seats.filter((seat) => seat.plan === plan && (seat.current ?? seat.retry) !== undefined)
      const starting = there.filter(({ current }) => current?.ready === false).length
      if (there.length >= most || starting >= availableParallelism()) return
      this.#awaited--
      this.#addSeat(plan)
    }
  }

  #stop(phase: number): void {
    const { control, sockets } = this.#options
    control.phase = phase
    if (phase === FORCED) clearTimeout(this.#pause)
    for (const { retry, grace } of this.#seats) {
      clearTimeout(retry)
      clearTimeout(grace)
    }
    for (const listener of sockets.open) listener.unblock()
    this.#wakeUntilGone()
    this.#endIfGone()
  }

  /** A blocked unit reads no message: it is woken where it waits, until it has seen what it is ordered. */
  #wakeUntilGone(): void {
    this.#wake()
    this.#waker ??= setInterval(() => this.#wake(), WAKE_MS)
  }

  #wake(): void {
    const { stopping } = this.#options.control
    let isNeeded = false
    for (const { plan, listener, occupants } of this.#seats) {
      for (const { unit, cells, stopFd, acceptedLast } of occupants) {
        if (!stopping && cells.order === STAY) continue
        isNeeded = true
        eventfdSignal(stopFd)
        if (acceptedLast) continue
        unit?.wake()
        if (plan.blocks && plan.place !== 'process' && listener.fd >= 0) listener.wake()
      }
    }
    if (isNeeded) return
    clearInterval(this.#waker)
    this.#waker = undefined
  }

  /** More units than processors would start no sooner together. */
  #startNext(): void {
    const seat = this.#seats[this.#startedSeats]
    if (seat === undefined || this.#failure !== undefined) return
    this.#startedSeats++
    this.#startUnit(seat)
  }

  /** Fills a seat, or prepares somebody for it where it is taken. */
  #startUnit(seat: Seat): void {
    const { control, app, startTimeout } = this.#options
    const slot = this.#freeSlots.pop()
    if (slot === undefined) return this.#startLater(seat, LAST_BACKOFF_MS) // too many are leaving
    const cells = control.unit(slot)
    cells.state = STARTING
    const occupant = new Occupant(slot, cells, eventfd(0, { nonblocking: true }), seat.counts.requests)
    if (seat.current === undefined) seat.current = occupant
    else seat.successor = occupant
    occupant.deadline = setTimeout(
      () => this.#doom(occupant, `it was not ready within ${startTimeout} ms`),
      startTimeout,
    )
    try {
      occupant.unit = startUnit(seat.bootFor(occupant, control.handle), seat.plan.place, seat.plan.flags, app, {
        message: (message) => this.#hear(seat, occupant, message),
        ended: (reason) => this.#ended(seat, occupant, reason),
      })
    } catch (error) {
      this.#ended(seat, occupant, `it cannot be started: ${error instanceof Error ? error.message : error}`)
    }
  }

  #hear(seat: Seat, occupant: Occupant, message: UnitMessage): void {
    if (message.type === 'ready') this.#welcome(seat, occupant)
    if (message.type === 'accepted last') occupant.acceptedLast = true
    if (message.type === 'replace me' && seat.current === occupant) this.#replace(seat)
    if (message.type === 'more') this.#awaited += message.units
    if (message.type === 'failed' && (this.#started !== undefined || message.final))
      this.#fail(this.#describe(seat, message.message, message.stack))
    if (this.#started !== undefined && this.#seats.every(({ current }) => current?.ready)) {
      this.#started.resolve()
      this.#started = undefined
    }
    if (message.type === 'more' || message.type === 'ready') this.#startAwaited()
    this.#closeListeners()
  }

  /** A successor that is ready takes the seat, and only then does the one before it leave: nothing is refused meanwhile. */
  #welcome(seat: Seat, occupant: Occupant): void {
    occupant.ready = true
    this.#misfires = 0
    clearTimeout(occupant.deadline)
    if (this.#started !== undefined) this.#startNext()
    if (seat.successor !== occupant) return
    const former = seat.current!
    seat.succeed()
    this.#dismiss(seat, former, LEAVE)
  }

  #replace(seat: Seat): void {
    seat.asked = true
    if (seat.vacant && !this.#options.control.stopping) this.#startUnit(seat)
  }

  /** Has a unit finish what it has and return. */
  #dismiss(seat: Seat, occupant: Occupant, order: number): void {
    occupant.cells.order = order
    seat.leaving.add(occupant)
    this.#wakeUntilGone()
  }

  /** Has all units of a seat leave that is given up. */
  #empty(seat: Seat, order: number): void {
    clearTimeout(seat.retry)
    seat.emptied = true
    if (order === CLOSE) seat.listener.unblock()
    const { current, successor } = seat
    seat.current = undefined
    seat.successor = undefined
    for (const occupant of [current, successor]) if (occupant !== undefined) this.#dismiss(seat, occupant, order)
    if (seat.occupants.length === 0) this.#remove(seat)
  }

  #remove(seat: Seat): void {
    this.#former = sumOf([this.#former, seat.counts])
    this.#seats.splice(this.#seats.indexOf(seat), 1)
    this.#closeListeners()
    if (seat.plan.ownSocket) this.#options.sockets.close(seat.listener)
  }

  /** Ends a unit that will not end by itself; what follows is what follows every death. */
  #doom(occupant: Occupant, why: string): void {
    occupant.doom = why
    occupant.unit?.kill()
  }

  /** A unit that waits with nothing in hand is not stuck, however long it waits. */
  #endStuck(): void {
    const now = monotonicNow()
    for (const { plan, occupants } of this.#seats) {
      if (plan.heartbeat === 0) continue
      for (const occupant of occupants) {
        const pulse = occupant.cells.pulse[0]
        if (pulse === 0 || ((now - pulse) | 0) < plan.heartbeat + BLOCKING_TICK_MS) continue
        this.#doom(occupant, `it was stuck: no sign of life for ${plan.heartbeat} ms`)
      }
    }
  }

  /** A listening socket is closed when nobody will accept from it any more, so that its backlog is not lost. */
  #closeListeners(): void {
    const { control, sockets } = this.#options
    if (!control.stopping) return
    const inUse = new Set(this.#seats.flatMap((seat) => (seat.accepting ? [seat.listener] : [])))
    for (const listener of [...sockets.open]) if (!inUse.has(listener)) sockets.close(listener)
  }

  #ended(seat: Seat, occupant: Occupant, reason: string | undefined): void {
    const { control, log } = this.#options
    const wasLeaving = seat.leaving.has(occupant)
    const requests = seat.counts.requests
    const lost = this.#settle(seat, occupant, reason)
    if (reason !== undefined) seat.plan.population?.forget(seat.index)
    this.#startAwaited()
    if (control.stopping) return this.#endIfGone()
    if (seat.plan.population !== undefined && reason === undefined) return this.#release(seat)
    if (seat.emptied && seat.occupants.length === 0) this.#remove(seat)
    else if (seat.asked && seat.vacant) this.#startUnit(seat) // it had to wait for the one that left
    if (wasLeaving && reason === undefined) return
    const why = this.#reason(occupant, reason ?? 'its role returned though the server runs')
    const error = this.#describe(seat, why)
    if (this.#started !== undefined) return this.#fail(error)
    if (wasLeaving) return log(`${error.message}; ${lost} connections lost; it was leaving`)
    if (!occupant.ready && this.#isHelped(seat)) return this.#misfire(seat, error)
    seat.deaths = occupant.wasOfUse(requests) ? 1 : seat.deaths + 1
    if (seat.deaths >= MOST_DEATHS) {
      return this.#fail(this.#describe(seat, `it died ${seat.deaths} times in a row, the last time: ${why}`))
    }
    const delay = seat.deaths === 1 ? 0 : Math.min(FIRST_BACKOFF_MS * 2 ** (seat.deaths - 2), LAST_BACKOFF_MS)
    log(`${error.message}; ${lost} connections lost; starting it again in ${delay} ms`)
    seat.restarts++
    this.#startLater(seat, delay)
  }

  /** A unit that may come and go has gone. */
  #release(seat: Seat): void {
    this.#dismissed = Math.max(0, this.#dismissed - 1)
    this.#remove(seat)
    this.#startAwaited()
  }

  /** True where a unit was to help others of its role, which go on without it. */
  #isHelped({ plan }: Seat): boolean {
    return plan.population !== undefined && this.#seats.some((seat) => seat.plan === plan && seat.current?.ready)
  }

  /** A unit that was asked for could not be started, for want of memory or descriptors perhaps: later. */
  #misfire(seat: Seat, error: Error): void {
    const delay = Math.min(FIRST_BACKOFF_MS * 2 ** this.#misfires++, LAST_BACKOFF_MS)
    this.#options.log(`${error.message}; the others go on, trying again in ${delay} ms`)
    this.#awaited++
    this.#remove(seat)
    clearTimeout(this.#pause)
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      this.#startAwaited()
    }, delay)
  }

  #startLater(seat: Seat, delay: number): void {
    clearTimeout(seat.retry)
    seat.retry = setTimeout(() => seat.vacant && this.#startUnit(seat), delay)
  }

  #reason({ doom, unit, ready }: Occupant, reason: string): string {
    const said = ready ? '' : (unit?.output.trim().replaceAll(/\s*\n\s*/g, ' / ') ?? '')
    return (doom ?? reason) + (said === '' ? '' : `; it said: ${said}`)
  }

  /** Closes what a unit that is gone owned, settles its count and gives its cells back; returns how many connections it lost. */
  #settle(seat: Seat, occupant: Occupant, reason: string | undefined): number {
    const { cells, slot, stopFd } = occupant
    clearTimeout(occupant.deadline)
    cells.state = ENDED
    const held = cells.takeHeld()
    if (reason !== undefined && seat.plan.place !== 'process') for (const fd of held) close(fd)
    const lost = this.#closeConnectionsOf(seat, occupant)
    seat.forget(occupant)
    close(stopFd)
    cells.clear()
    this.#freeSlots.push(slot)
    return lost
  }

  #closeConnectionsOf(seat: Seat, { cells, slot }: Occupant): number {
    const { table } = this.#options
    if (seat.plan.place === 'process') return settleCounts(cells.counters) + settleChildren(seat)
    let lost = 0
    for (const fd of table.ownedBy(slot + 1)) {
      table.leave(fd)
      shutdown(fd, SHUT_RDWR) // a ring of io_uring that its thread left behind may hold the socket open
      close(fd)
      lost++
    }
    cells.counters[CLOSED_COUNT] += lost
    cells.counters[LOST] += lost
    return lost
  }

  #occupants(): Occupant[] {
    return this.#seats.flatMap(({ occupants }) => occupants)
  }

  #connections(): number[] {
    return this.#occupants().flatMap(({ slot }) => [...this.#options.table.ownedBy(slot + 1)])
  }

  #listenerFor({ ownSocket }: RolePlan, index: number): Listener {
    const { sockets } = this.#options
    return ownSocket ? sockets.at(index) : sockets.first
  }

  #resizable(): Resizable {
    const plan = this.#options.roles.find(({ resizable }) => resizable !== undefined)
    if (plan === undefined) throw new ServerError(`${this.#options.model} has no units that can be added or taken away`)
    return plan as Resizable
  }

  #count(plan: RolePlan): number {
    return Math.max(0, this.#staying(plan).length - (plan.population === undefined ? 0 : this.#dismissed))
  }

  #staying(plan: RolePlan): Seat[] {
    return this.#seats.filter((seat) => seat.plan === plan && !seat.retired)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.force()
  }

  #endIfGone(): void {
    if (this.#occupants().length > 0) return this.#closeListeners()
    if (this.#over) return // its descriptors may be another's by now
    this.#over = true
    clearInterval(this.#waker)
    clearInterval(this.#watch)
    clearTimeout(this.#deadline)
    clearTimeout(this.#pause)
    process.off('exit', this.#onExit)
    this.#options.sockets.closeAll()
    this.#seats[0].past[CLOSED_COUNT] += this.#options.table.closeAll()
    this.#options.control.close()
    this.#started?.reject(this.#failure ?? new ServerError('the server was stopped while it started'))
    if (this.#failure === undefined) this.#resolve()
    else this.#reject(this.#failure)
  }

  /** The process exits while units run: it joins its threads, so each must be woken or it hangs for ever. */
  #abandon(): void {
    const { control, sockets, release } = this.#options
    control.phase = FORCED
    sockets.closeAll() // wakes every accept(2)
    for (const { stopFd, unit } of this.#occupants()) {
      eventfdSignal(stopFd)
      unit?.abandon()
    }
    release()
    for (const fd of this.#connections()) shutdown(fd, SHUT_RDWR)
  }

  #describe(seat: Seat, reason: string, stack = reason): ServerError {
    const { role } = seat.plan.boot
    const error = new ServerError(`${this.#options.model}: ${seat.name} (${role}) failed: ${reason}`)
    error.stack = `${error.name}: ${error.message}\n${stack}`
    return error
  }
}

/** Counts as closed and lost what a process that is gone had open. */
function settleCounts(counters: Float64Array): number {
  const { accepted, closed } = countsOf(counters)
  counters[CLOSED_COUNT] += accepted - closed
  counters[LOST] += accepted - closed
  return accepted - closed
}

/** The children of a process end with it. */
function settleChildren({ plan: { children } }: Seat): number {
  if (children === undefined) return 0
  children.states.fill(0)
  let lost = 0
  for (let i = 0; i < children.states.length; i++) {
    lost += settleCounts(children.counters.subarray(i * COUNTERS, (i + 1) * COUNTERS))
  }
  return lost
}
