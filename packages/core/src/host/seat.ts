/**
 * A seat: one place for a unit in a server, whoever fills it.
 *
 *   current ── asks to be replaced ─▶ successor starts ── ready ─▶ it is the current, the one before leaves
 *      └────── dies ─▶ empty ── retry, with backoff ─▶ current
 */

import { COUNTERS, type Counts, countsOf, sumOf } from '../connection/index.js'
import type { ChildRows } from '../loop/index.js'
import type { Listener } from '../socket/index.js'
import { type ControlHandle, READY, STARTING, type UnitCells } from './control.js'
import type { Bounds, Role } from './role.js'
import type { Unit } from './unit.js'
import type { UnitBoot } from './unit-run.js'

/** A unit that has lived this long, in milliseconds, was of use, even where it served nobody. */
const A_WHILE_MS = 2000

/** What the units of one role have in common. */
export interface RolePlan {
  readonly place: 'thread' | 'process' | 'caller'
  /** Units that are to run at first. */
  readonly count: number
  /** Bounds for their number, where it may change. */
  readonly resizable: Bounds | undefined
  /** Whether the names of its units have numbers even where there is one. */
  readonly numbered: boolean
  /** What the role's `population` does, on what this server shares. */
  readonly population: BoundPopulation | undefined
  /** Whether the role accepts connections. */
  readonly accepts: boolean
  /** Whether a unit may be blocked in accept(2), from which no eventfd wakes it. */
  readonly blocks: boolean
  readonly ownSocket: boolean
  /** Milliseconds; 0: none is expected. */
  readonly heartbeat: number
  readonly flags: readonly string[]
  /** Cells of the children that the unit forks. */
  readonly children: ChildRows | undefined
  readonly boot: RoleBoot
}

export interface BoundPopulation {
  admit(): void
  dismiss(): void
  forget(index: number): void
}

/** What the population of a role does, on what a server shares. */
export function bindPopulation(
  { population }: Pick<Role<unknown, unknown>, 'population'>,
  shared: unknown,
): BoundPopulation | undefined {
  if (population === undefined) return undefined
  return {
    admit: () => population.admit?.(shared),
    dismiss: () => population.dismiss(shared),
    forget: (index) => population.forget?.(shared, index),
  }
}

/** What each unit of a role is told alike. */
export type RoleBoot = Omit<UnitBoot, 'unit' | 'index' | 'name' | 'listenerFd' | 'stopFd' | 'control'>

/** A unit that starts, runs or leaves, and what the supervisor knows of it. */
export class Occupant {
  /** The number of its cells. */
  readonly slot: number
  readonly cells: UnitCells
  readonly stopFd: number
  readonly startedAt: number = Date.now()
  readonly #requestsBefore: number
  unit: Unit | undefined
  ready = false
  acceptedLast = false
  /** Why the supervisor has killed it. */
  doom: string | undefined
  /** The timer that kills it if it does not become ready. */
  deadline: NodeJS.Timeout | undefined

  constructor(slot: number, cells: UnitCells, stopFd: number, requestsBefore: number) {
    this.slot = slot
    this.cells = cells
    this.stopFd = stopFd
    this.#requestsBefore = requestsBefore
  }

  /** True where it had been of use before it died, so that its death is an accident and no loop. */
  wasOfUse(requests: number): boolean {
    return this.ready && (requests > this.#requestsBefore || Date.now() - this.startedAt >= A_WHILE_MS)
  }
}

export class Seat {
  readonly plan: RolePlan
  readonly index: number
  /** Where its units accept: the server's, or its own. */
  readonly listener: Listener
  current: Occupant | undefined
  successor: Occupant | undefined
  readonly leaving: Set<Occupant> = new Set()
  /** True once it is to be given up. */
  retired = false
  /** True once its units are to go, and nobody is to follow them. */
  emptied = false
  /** True where the current unit has asked to be replaced. */
  asked = false
  /** Deaths in a row. */
  deaths = 0
  restarts = 0
  retry: NodeJS.Timeout | undefined
  /** Until when a seat that is given up still takes what is under way to its socket. */
  grace: NodeJS.Timeout | undefined
  /** What those did that are gone. */
  readonly past: Float64Array = new Float64Array(COUNTERS)
  #lastPid = 0
  #lastTid = 0

  constructor(plan: RolePlan, index: number, listener: Listener) {
    this.plan = plan
    this.index = index
    this.listener = listener
  }

  get name(): string {
    const { count, resizable, numbered, boot } = this.plan
    return count === 1 && resizable === undefined && !numbered ? `cs:${boot.role}` : `cs:${boot.role} ${this.index + 1}`
  }

  /** What a unit is told that takes this seat. */
  bootFor(occupant: Occupant, control: ControlHandle): UnitBoot {
    const { slot: unit, stopFd } = occupant
    const { index, name } = this
    return { ...this.plan.boot, unit, index, name, listenerFd: this.listener.fd, stopFd, control }
  }

  get occupants(): Occupant[] {
    return [this.current, this.successor, ...this.leaving].filter((each) => each !== undefined)
  }

  /** True while somebody may take connections that arrive at its listener. */
  get accepting(): boolean {
    return this.plan.accepts && this.occupants.some(({ acceptedLast }) => !acceptedLast)
  }

  /** Takes a unit that is gone off the seat, and keeps what it did. */
  forget(occupant: Occupant): void {
    this.#lastPid = occupant.cells.pid
    this.#lastTid = occupant.cells.tid
    occupant.cells.counters.forEach((count, i) => {
      this.past[i] += count
    })
    this.leaving.delete(occupant)
    if (this.successor === occupant) this.successor = undefined
    if (this.current === occupant) this.succeed()
  }

  /** Gives the seat to the successor, or to nobody. */
  succeed(): void {
    this.current = this.successor
    this.successor = undefined
    this.asked = false
  }

  /** Whether somebody is to be started for it. */
  get vacant(): boolean {
    return !this.emptied && this.successor === undefined && (this.current === undefined || this.mayBeReplaced)
  }

  /** One unit of a seat leaves at a time, so that those that leave never hold more cells than there are. */
  get mayBeReplaced(): boolean {
    return this.asked && this.leaving.size === 0
  }

  /** What all that sat here have done. */
  get counts(): Counts {
    const children = this.plan.children?.counters ?? this.past.subarray(0, 0)
    const rows = Array.from({ length: children.length / COUNTERS }, (_, i) => children.subarray(i * COUNTERS))
    return sumOf([this.past, ...this.occupants.map(({ cells }) => cells.counters), ...rows].map(countsOf))
  }

  get state(): 'starting' | 'ready' | 'ended' {
    const state = this.current?.cells.state
    return state === READY ? 'ready' : state === STARTING ? 'starting' : 'ended'
  }

  get pid(): number {
    return this.current?.cells.pid ?? this.#lastPid
  }

  get tid(): number {
    return this.current?.cells.tid ?? this.#lastTid
  }
}
