/** What is the same wherever a unit runs: on a worker thread, in a child process, on the calling thread. */

import { access } from 'node:fs/promises'
import { type FetchApp, Service, type Timeouts } from '../connection/index.js'
import type { HttpLimits } from '../http/index.js'
import {
  getpid,
  gettid,
  processors,
  type SocketAddress,
  setPolicy,
  setProcessor,
  setSlice,
  setThreadName,
} from '../posix/index.js'
import { ConnectionTable, Listener } from '../socket/index.js'
import { type Dehydrated, hydrate } from '../sync/index.js'
import { loadApp } from './app.js'
import { CLOSE, Control, type ControlHandle, FORCED, READY, STAY } from './control.js'
import { findRole, type Role, type RoleContext } from './role.js'

/** How the kernel schedules a unit: with SCHED_BATCH, or as it does all others. */
export type Scheduling = 'batch' | 'normal'

/** Whether units that run handlers stay on a processor each. */
export type Affinity = 'none' | 'handlers'

/** Microseconds of a processor that a unit gets at once which only does I/O, so that it comes before others: it needs few. */
const IO_SLICE_US = 100

/** All that a unit must be told, structured-cloneable; for a process JSON, with `shared` and `table` left out. */
export interface UnitBoot {
  readonly model: string
  readonly moduleUrl: string
  readonly role: string
  /** The number of the unit in the server, and of those with its role. */
  readonly unit: number
  readonly index: number
  readonly name: string
  readonly appUrl: string | undefined
  readonly options: unknown
  readonly limits: HttpLimits
  readonly timeouts: Timeouts
  readonly scheduling: Scheduling
  readonly affinity: Affinity
  readonly listenerFd: number
  readonly address: SocketAddress
  readonly stopFd: number
  /** Whether the descriptors are the unit's own, as in a process, or the host's. */
  readonly ownsDescriptors: boolean
  readonly control: ControlHandle
  /** The control of the server, for a thread in one of its processes. */
  readonly within?: ControlHandle
  readonly shared: Dehydrated<unknown> | undefined
  readonly table: { readonly buffer: SharedArrayBuffer } | undefined
}

/** What a worker thread is given. */
export interface ThreadBoot {
  readonly boot: UnitBoot
  /** The cell of a Binding. */
  readonly binding: SharedArrayBuffer
}

/** What a child process is given. */
export interface ProcessBoot {
  readonly boot: UnitBoot
  /** The pid of the host. */
  readonly host: number
}

/** What a unit tells the host. */
export type UnitMessage =
  | { readonly type: 'ready' | 'replace me' | 'accepted last' | 'finished' }
  | { readonly type: 'more'; readonly units: number }
  /** `final`: another in its place would fail as well. */
  | { readonly type: 'failed'; readonly message: string; readonly stack: string; readonly final: boolean }

/** Describes an error for {@link UnitMessage}. */
export function failure(error: unknown): UnitMessage {
  const { message, stack = message } = error instanceof Error ? error : new Error(String(error))
  return { type: 'failed', message, stack, final: (error as { code?: unknown } | null)?.code === 'ERR_CS_SERVER' }
}

/** What whoever runs a unit gives it. */
export interface Surroundings {
  readonly tell: (message: UnitMessage) => void
  /** The app, where it is a function. */
  readonly app?: FetchApp
  /** Is called when the role begins, before the host is told. */
  readonly onReady?: () => void
  /** Takes what is to be called when the host wakes the unit. */
  readonly onWake?: (callback: () => void) => void
}

/** Imports the model, loads the app, says that it is ready, and runs the role to its end. */
export async function runUnit(boot: UnitBoot, surroundings: Surroundings): Promise<void> {
  const { tell, app: given, onReady } = surroundings
  const control = Control.open(boot.control)
  const cells = control.unit(boot.unit)
  if (given === undefined) {
    setThreadName(boot.name)
    if (boot.scheduling === 'batch') setPolicy('batch') // a hint: a system that does not know it goes without
    await import(boot.moduleUrl)
  }
  const role = findRole(boot.model, boot.role)
  const app = role.handles === false ? NO_APP : (given ?? (await loadApp(boot.appUrl!, role.children !== undefined)))
  if (given === undefined && boot.affinity === 'handlers') await settle(role, boot.index)
  // A unit that accepts nothing may be needed for what was accepted before the stop.
  if (control.phase === FORCED || (control.stopping && role.accepts !== false)) return tell({ type: 'finished' })
  const ready = (): void => {
    onReady?.()
    cells.identify(getpid(), gettid())
    cells.state = READY
    tell({ type: 'ready' })
  }
  if (!role.nests) ready()
  await role.run(contextOf(boot, role, control, app, surroundings, ready))
  tell({ type: 'finished' })
}

/**
 * Gives the first units that run handlers a processor each, of those that this process may use, and has units that only do I/O
 * come first. Those in which others start, and inherit it, are left alone.
 */
async function settle(role: Role<unknown, unknown>, index: number): Promise<void> {
  if (role.nests || role.children !== undefined) return
  if (role.handles === false) {
    setPolicy('normal')
    setSlice(IO_SLICE_US)
    return
  }
  const own = processors()[index]
  if (own === undefined) return
  await access('/') // libuv's threads are started by whoever needs them first, and would stay where it is
  setProcessor(own)
}

/** Stands where no request may come. */
const NO_APP: FetchApp = {
  fetch() {
    throw new Error('this role handles no requests')
  },
}

function contextOf(
  boot: UnitBoot,
  role: Role<unknown, unknown>,
  control: Control,
  app: FetchApp,
  { tell, onWake }: Surroundings,
  ready: () => void,
): RoleContext<unknown, unknown> {
  const cells = control.unit(boot.unit)
  const stopping = (): boolean => control.stopping || cells.order !== STAY
  const server = boot.within === undefined ? undefined : Control.open(boot.within)
  const staysOpen = (): boolean =>
    server === undefined ? cells.order !== CLOSE && !control.stopping : !server.stopping
  const listener = Listener.adopt(boot.listenerFd, boot.address, stopping, staysOpen)
  if (role.accepts !== false && !role.nests) listener.keepReserve()
  onWake?.(() => listener.onStop?.())
  const shared = boot.shared === undefined ? undefined : hydrate(boot.shared)
  let asked = false
  const acceptedLast = (): void => {
    if (boot.ownsDescriptors) listener.close()
    else listener.release()
    tell({ type: 'accepted last' })
  }
  return {
    options: boot.options,
    shared,
    listener,
    index: boot.index,
    appUrl: boot.appUrl,
    children: control.children,
    service: serviceOf(boot, role, shared, control, app, listener, stopping),
    stop: {
      fd: boot.stopFd,
      get requested() {
        return stopping()
      },
      get forced() {
        return control.phase === FORCED
      },
    },
    owned: (demux) => {
      for (const fd of demux.descriptors) cells.hold(fd)
      return demux
    },
    threads: async (plan) => {
      const { runThreads } = await import('./nest.js') // which threads have no use for
      await runThreads(plan, { boot, listener, stopping, counters: cells.counters, ready, acceptedLast })
    },
    more: (units) => tell({ type: 'more', units }),
    replace: () => {
      if (!asked) tell({ type: 'replace me' })
      asked = true
    },
    acceptedLast,
  }
}

function serviceOf(
  boot: UnitBoot,
  role: Role<unknown, unknown>,
  shared: unknown,
  control: Control,
  app: FetchApp,
  listener: Listener,
  stopping: () => boolean,
): Service {
  const { counters, pulse } = control.unit(boot.unit)
  const crowded = crowdOf(role, shared, control, listener)
  return new Service({
    app,
    limits: boot.limits,
    timeouts: boot.timeouts,
    table: boot.table === undefined ? ConnectionTable.create() : ConnectionTable.from(boot.table),
    owner: boot.unit + 1,
    counters,
    pulse,
    blocking: role.blocking ?? false,
    readsAhead: role.readsAhead ?? false,
    gather: role.gather ?? 0,
    stopping,
    ...(crowded === undefined ? {} : { crowded }),
    ...(role.awaited === undefined ? {} : { awaited: () => role.awaited!(shared) }),
  })
}

/** Whom a unit asks whether others wait for its thread. */
function crowdOf(
  role: Role<unknown, unknown>,
  shared: unknown,
  control: Control,
  listener: Listener,
): (() => boolean) | undefined {
  const { crowded } = control.children
  if (role.crowded !== undefined) return () => role.crowded!(shared)
  if (!role.blocking) return undefined
  return role.children ? () => crowded[0] !== 0 : () => listener.waiting
}
