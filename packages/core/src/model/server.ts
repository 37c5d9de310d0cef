import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type Counts, type FetchApp, sumOf } from '../connection/index.js'
import { appUrl, Control, READY, type Role, STARTING, Supervisor, stopFdFor, type UnitPlan } from '../host/index.js'
import { installFetchGlobals } from '../http/index.js'
import { close, formatAddress, type SocketAddress, UnsupportedError } from '../posix/index.js'
import { ConnectionTable, Listener } from '../socket/index.js'
import { dehydrate } from '../sync/index.js'
import { type CommonOptions, limitsOf, timeoutsOf } from './common-options.js'
import type { Definition, Model } from './define.js'
import { checkOptions, OptionError } from './options.js'

/** What to serve and where; the options of the model stand beside these. */
export interface ServeOptions {
  /** The module of the app: a URL, or a path relative to the working directory. */
  readonly app?: URL | string
  /** The app as a function, for models whose handlers run on the calling thread. */
  readonly fetch?: FetchApp['fetch']
  /** 0 takes any free port. Default: 0. */
  readonly port?: number
  /** An address or a name of this machine. Default: 127.0.0.1. */
  readonly host?: string
  /** Path of a Unix socket, instead of host and port. */
  readonly path?: string
  /** Is told, a line at a time, of units that died. Default: standard error. */
  readonly log?: (message: string) => void
}

/** One unit of a running server: a thread or a process, and what it has done. */
export interface UnitStatistics extends Counts {
  readonly role: string
  readonly name: string
  readonly state: 'starting' | 'ready' | 'ended'
  readonly pid: number
  readonly tid: number
  readonly restarts: number
}

/** What a server has done so far. */
export interface Statistics extends Counts {
  readonly model: string
  /** Which of several ways provides the model's mechanism, in words; undefined where there is one way. */
  readonly mechanism: string | undefined
  /** Connections that are open now. */
  readonly active: number
  readonly restarts: number
  readonly units: readonly UnitStatistics[]
}

/** A running server. */
export interface Server {
  readonly model: string
  /** See {@link Statistics.mechanism}. */
  readonly mechanism: string | undefined
  /** `http://host:port`, or `unix:path`. */
  readonly url: string
  readonly address: SocketAddress
  /** Resolves when the server has ended; rejects with ServerError where its units died again and again. */
  readonly ended: Promise<void>
  stats(): Statistics
  /** Stops accepting, lets requests finish up to the drain timeout, resolves when every thread and process is gone. */
  close(): Promise<void>
  /** Cuts what `close` still waits for. */
  force(): void
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a server; see Model.serve. */
export async function startServer<Options extends object, Shared>(
  model: Model<Options>,
  moduleUrl: string,
  definition: Definition<Options, Shared>,
  given: ServeOptions & Partial<Options & CommonOptions>,
): Promise<Server> {
  const { app, fetch, port = 0, host = '127.0.0.1', path, log = logLine, ...rest } = given
  const missing = model.missing()
  if (missing !== undefined) throw new UnsupportedError(`the model ${model.name}`, missing)
  const options = checkOptions(model.options, rest, model.name)
  checkApp(model.name, app, fetch, runsOnCaller(definition.roles as Roles, options))
  const address = await addressOf(host, port, path)
  const appAt = app === undefined ? undefined : appUrl(app)

  const { listener, shared, table, control, units } = assemble(model, moduleUrl, definition, options, address, appAt)
  if (fetch !== undefined) installFetchGlobals()
  const supervisor = new Supervisor({
    model: model.name,
    units,
    control,
    listener,
    table,
    app: fetch === undefined ? undefined : { fetch },
    release: () => closeAll(shared),
    log,
  })
  const ended = supervisor.ended.finally(() => definition.dispose?.(shared))
  ended.catch(() => {})
  try {
    await supervisor.start()
  } catch (error) {
    await ended.catch(() => {})
    throw error
  }
  const mechanism = definition.mechanism?.(options)
  return serverOf(model.name, mechanism, listener.address, supervisor, control, units, ended, options.drainTimeout)
}

/** What a server consists of before anything runs. */
interface Parts<Shared> {
  readonly listener: Listener
  readonly shared: Shared
  readonly table: ConnectionTable
  readonly control: Control
  readonly units: readonly UnitPlan[]
}

/** Makes the parts of a server; where one cannot be made, those before are given back. */
function assemble<Options extends object, Shared>(
  model: Model<Options>,
  moduleUrl: string,
  definition: Definition<Options, Shared>,
  options: Options & CommonOptions,
  address: SocketAddress,
  appAt: string | undefined,
): Parts<Shared> {
  const blocking = Object.values(definition.roles).some((role) => role.blocking)
  const made: (() => void)[] = []
  try {
    const listener = Listener.open({ address, backlog: options.backlog, nonblocking: !blocking })
    made.push(() => listener.close())
    const shared = definition.shared?.(options) as Shared
    made.push(() => definition.dispose?.(shared))
    const plan = planOf(definition.roles as Roles, options, appAt === undefined)
    const table = ConnectionTable.create()
    const control = Control.create(
      plan.length,
      plan.some(({ place }) => place === 'process'),
    )
    made.push(() => control.close())
    const units: UnitPlan[] = plan.map(({ role, roleName, index, count, place }, unit) => ({
      place,
      accepts: role.accepts !== false,
      blocks: role.accepts !== false && (blocking || place === 'process'),
      boot: {
        model: model.name,
        moduleUrl,
        role: roleName,
        unit,
        index,
        name: count === 1 ? `cs:${roleName}` : `cs:${roleName} ${index + 1}`,
        appUrl: appAt,
        options,
        limits: limitsOf(options),
        timeouts: timeoutsOf(options),
        listenerFd: listener.fd,
        address: listener.address,
        stopFd: stopFd(place),
        control: control.handle,
        shared: dehydrate<unknown>(shared),
        table: table.share(),
      },
    }))
    return { listener, shared, table, control, units }

    function stopFd(place: UnitPlan['place']): number {
      const fd = stopFdFor(place)
      if (fd >= 0) made.push(() => close(fd))
      return fd
    }
  } catch (error) {
    for (const giveBack of made.reverse()) giveBack()
    throw error
  }
}

type Roles = Readonly<Record<string, Role<unknown, unknown>>>

interface Planned {
  readonly role: Role<unknown, unknown>
  readonly roleName: string
  readonly index: number
  readonly count: number
  readonly place: UnitPlan['place']
}

function planOf(roles: Roles, options: unknown, onCaller: boolean): Planned[] {
  return Object.entries(roles).flatMap(([roleName, role]) => {
    const count = typeof role.count === 'function' ? role.count(options) : (role.count ?? 1)
    const place = role.place === 'thread or caller' ? (onCaller ? 'caller' : 'thread') : role.place
    return Array.from({ length: count }, (_, index) => ({ role, roleName, index, count, place }))
  })
}

/** Tells whether every unit that these options ask for can run on the calling thread. */
export function runsOnCaller(roles: Roles, options: unknown): boolean {
  return planOf(roles, options, true).every(({ place }) => place === 'caller')
}

function checkApp(model: string, app: unknown, fetch: unknown, takesFunction: boolean): void {
  if ((app === undefined) === (fetch === undefined)) throw new OptionError('serve takes either `app` or `fetch`')
  if (fetch === undefined) {
    if (typeof app === 'string' || app instanceof URL) return
    throw new OptionError(`option 'app' must be a URL or a path, not ${typeof app}`)
  }
  if (typeof fetch !== 'function') throw new OptionError(`option 'fetch' must be a function, not ${typeof fetch}`)
  if (!takesFunction) {
    throw new OptionError(
      `${model} runs handlers on threads or processes of its own, where a function cannot go: ` +
        'pass `app`, the URL of a module whose default export is { fetch }',
    )
  }
}

async function addressOf(host: string, port: number, path: string | undefined): Promise<SocketAddress> {
  if (path !== undefined) return { family: 'unix', path }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new OptionError(`option 'port' cannot be ${port}: it takes a whole number from 0 to 65535`)
  }
  const name = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(name) !== 0) return { family: isIP(name) === 4 ? 'ipv4' : 'ipv6', host: name, port }
  try {
    const found = await lookup(name)
    return { family: found.family === 4 ? 'ipv4' : 'ipv6', host: found.address, port }
  } catch (cause) {
    throw new OptionError(`option 'host' cannot be '${host}': it is no address and no name of this machine`, { cause })
  }
}

function serverOf(
  model: string,
  mechanism: string | undefined,
  address: SocketAddress,
  supervisor: Supervisor,
  control: Control,
  units: readonly UnitPlan[],
  ended: Promise<void>,
  drainTimeout: number,
): Server {
  const url = address.family === 'unix' ? `unix:${address.path}` : `http://${formatAddress(address)}`
  const close = (): Promise<void> => {
    supervisor.drain(drainTimeout)
    return ended
  }
  return {
    model,
    mechanism,
    url,
    address,
    ended,
    stats: () => statisticsOf(model, mechanism, control, units),
    close,
    force: () => supervisor.force(),
    [Symbol.asyncDispose]: close,
  }
}

function statisticsOf(
  model: string,
  mechanism: string | undefined,
  control: Control,
  plans: readonly UnitPlan[],
): Statistics {
  const units = plans.map(({ boot }, index): UnitStatistics => {
    const cells = control.unit(index)
    const state = cells.state === READY ? 'ready' : cells.state === STARTING ? 'starting' : 'ended'
    const { pid, tid, restarts } = cells
    return { role: boot.role, name: boot.name, state, pid, tid, restarts, ...cells.counts() }
  })
  const restarts = units.reduce((sum, unit) => sum + unit.restarts, 0)
  const sum = sumOf(units)
  return { model, mechanism, active: sum.accepted - sum.closed, ...sum, restarts, units }
}

/** Closes what the roles share and can be closed: whoever is blocked on it wakes. */
function closeAll(shared: unknown): void {
  for (const each of Object.values(shared ?? {})) (each as { close?: () => void } | null)?.close?.()
}

function logLine(message: string): void {
  process.stderr.write(`${message}\n`)
}
