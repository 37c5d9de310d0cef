/** What is the same wherever a unit runs: on a worker thread, in a child process, on the calling thread. */

import { type FetchApp, Service, type Timeouts } from '../connection/index.js'
import type { HttpLimits } from '../http/index.js'
import { getpid, gettid, type SocketAddress, setThreadName } from '../posix/index.js'
import { ConnectionTable, Listener } from '../socket/index.js'
import { type Dehydrated, hydrate } from '../sync/index.js'
import { loadApp } from './app.js'
import { Control, type ControlHandle, FORCED, READY } from './control.js'
import { findRole, type Role, type RoleContext } from './role.js'

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
  readonly listenerFd: number
  readonly address: SocketAddress
  readonly stopFd: number
  readonly control: ControlHandle
  readonly shared: Dehydrated<unknown> | undefined
  readonly table: { readonly buffer: SharedArrayBuffer } | undefined
}

/** What a worker thread is given. */
export interface ThreadBoot {
  readonly boot: UnitBoot
  /** The cell of a Binding. */
  readonly binding: SharedArrayBuffer
}

/** What a unit tells the host. */
export type UnitMessage =
  | { readonly type: 'ready' | 'accepted last' | 'finished' }
  | { readonly type: 'log'; readonly text: string }
  | { readonly type: 'failed'; readonly message: string; readonly stack: string }

/** Describes an error for {@link UnitMessage}. */
export function failure(error: unknown): UnitMessage {
  const { message, stack = message } = error instanceof Error ? error : new Error(String(error))
  return { type: 'failed', message, stack }
}

/** Imports the model, loads the app, says that it is ready, and runs the role to its end. */
export async function runUnit(boot: UnitBoot, tell: (message: UnitMessage) => void, given?: FetchApp): Promise<void> {
  const control = Control.open(boot.control)
  const cells = control.unit(boot.unit)
  if (given === undefined) {
    setThreadName(boot.name)
    await import(boot.moduleUrl)
  }
  const role = findRole(boot.model, boot.role)
  const app = role.handles === false ? NO_APP : (given ?? (await loadApp(boot.appUrl!)))
  if (control.stopping) return tell({ type: 'finished' })
  cells.identify(getpid(), gettid())
  cells.state = READY
  tell({ type: 'ready' })
  await role.run(contextOf(boot, role, control, app, tell))
  tell({ type: 'finished' })
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
  tell: (message: UnitMessage) => void,
): RoleContext<unknown, unknown> {
  const listener = Listener.adopt(boot.listenerFd, boot.address, () => control.stopping)
  return {
    options: boot.options,
    shared: boot.shared === undefined ? undefined : hydrate(boot.shared),
    listener,
    index: boot.index,
    service: serviceOf(boot, role, control, app, listener),
    stop: {
      fd: boot.stopFd,
      get requested() {
        return control.stopping
      },
      get forced() {
        return control.phase === FORCED
      },
    },
    owned: (demux) => {
      for (const fd of demux.descriptors) control.unit(boot.unit).hold(fd)
      return demux
    },
    acceptedLast: () => {
      if (boot.stopFd >= 0) listener.release()
      else listener.close() // a process has a descriptor of its own; threads have the host's
      tell({ type: 'accepted last' })
    },
  }
}

function serviceOf(
  boot: UnitBoot,
  role: Role<unknown, unknown>,
  control: Control,
  app: FetchApp,
  listener: Listener,
): Service {
  return new Service({
    app,
    limits: boot.limits,
    timeouts: boot.timeouts,
    table: boot.table === undefined ? ConnectionTable.create() : ConnectionTable.from(boot.table),
    owner: boot.unit + 1,
    counters: control.unit(boot.unit).counters,
    blocking: role.blocking ?? false,
    readsAhead: role.readsAhead ?? false,
    gather: role.gather ?? 0,
    stopping: () => control.stopping,
    ...(role.blocking ? { crowded: () => listener.waiting } : {}),
  })
}
