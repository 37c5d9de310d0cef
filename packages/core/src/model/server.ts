import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type Counts, type FetchApp, sumOf } from '../connection/index.js'
import {
  appUrl,
  bindPopulation,
  Control,
  type Role,
  type RolePlan,
  type Seat,
  Sockets,
  Supervisor,
  slotsFor,
} from '../host/index.js'
import { installFetchGlobals } from '../http/index.js'
import { formatAddress, type SocketAddress, UnsupportedError } from '../posix/index.js'
import { ConnectionTable } from '../socket/index.js'
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

/** A value that JSON can carry. */
export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [name: string]: Plain }

/** What the parts of a model say of themselves, by the part's name: a queue, a pool, a stage. Plain JSON. */
export type Parts = Readonly<Record<string, Plain>>

/** What a server has done so far. */
export interface Statistics extends Counts {
  readonly model: string
  /** Which of several ways provides the model's mechanism, in words; undefined where there is one way. */
  readonly mechanism: string | undefined
  /** Connections that are open now. */
  readonly active: number
  readonly restarts: number
  readonly units: readonly UnitStatistics[]
  /** What the model's own parts say of themselves; Empty where it has none. */
  readonly parts: Parts
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
  /**
   * Adds a unit to the pool of the model and returns how many it has then, without waiting until the new one is ready; at the
   * upper bound nothing changes.
   * @throws ServerError where the model has no pool that can be resized
   */
  grow(): number
  /**
   * Takes a unit away from the pool, in order: it accepts no more, and ends when what it had is done. Returns how many stay; at
   * the lower bound nothing changes.
   * @throws ServerError where the model has no pool that can be resized
   */
  shrink(): number
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
  if (path !== undefined) checkPath(model.name, definition.roles as Roles)
  const address = await addressOf(host, port, path)
  const appAt = app === undefined ? undefined : appUrl(app)

  const { sockets, shared, table, control, roles } = assemble(model, moduleUrl, definition, options, address, appAt)
  if (fetch !== undefined) installFetchGlobals()
  const supervisor = new Supervisor({
    model: model.name,
    roles,
    control,
    sockets,
    table,
    app: fetch === undefined ? undefined : { fetch },
    startTimeout: options.startTimeout,
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
  const parts = (): Parts => definition.statistics?.(shared, options) ?? {}
  return serverOf(model.name, mechanism, sockets.first.address, supervisor, parts, ended, options.drainTimeout)
}

/** What a server consists of before anything runs. */
interface Assembly<Shared> {
  readonly sockets: Sockets
  readonly shared: Shared
  readonly table: ConnectionTable
  readonly control: Control
  readonly roles: readonly RolePlan[]
}

/** Makes the parts of a server; where one cannot be made, those before are given back. */
function assemble<Options extends object, Shared>(
  model: Model<Options>,
  moduleUrl: string,
  definition: Definition<Options, Shared>,
  options: Options & CommonOptions,
  address: SocketAddress,
  appAt: string | undefined,
): Assembly<Shared> {
  const declared = Object.entries(definition.roles as Roles)
  const blocking = declared.some(([, role]) => role.blocking && role.accepts !== false)
  const made: (() => void)[] = []
  try {
    const plans = declared.map(([name, role]) => ({ name, role, ...placeOf(role, options, appAt === undefined) }))
    const hasOwn = (role: Role<unknown, unknown>): boolean =>
      (role.ownSocket ?? false) !== false && address.family !== 'unix'
    const reusePort = plans.some(({ role, count }) => count > 0 && hasOwn(role))
    const sockets = Sockets.listen({ address, backlog: options.backlog, nonblocking: !blocking, reusePort })
    made.push(() => sockets.closeAll())
    const shared = definition.shared?.(options) as Shared
    made.push(() => definition.dispose?.(shared))
    const table = ConnectionTable.create()
    const children = declared.reduce((sum, [, role]) => sum + (role.children?.(options) ?? 0), 0)
    const isForked = plans.some(
      ({ place, count, resizable }) => place === 'process' && (count > 0 || resizable !== undefined),
    )
    const control = Control.create(slotsFor(plans), isForked, children)
    made.push(() => control.close())
    const roles = plans.map(
      ({ name, role, place, count, resizable }): RolePlan => ({
        place,
        count,
        resizable,
        population: bindPopulation(role, shared),
        numbered: role.numbered ?? false,
        accepts: role.accepts !== false,
        blocks: role.accepts !== false && blocking,
        ownSocket: hasOwn(role),
        heartbeat: role.heartbeat?.(options) ?? 0,
        flags: role.flags ?? [],
        children: role.children === undefined ? undefined : control.children,
        boot: {
          model: model.name,
          moduleUrl,
          role: name,
          appUrl: appAt,
          options,
          limits: limitsOf(options),
          timeouts: timeoutsOf(options),
          scheduling: options.scheduling,
          affinity: options.affinity,
          address: sockets.first.address,
          ownsDescriptors: false,
          shared: dehydrate<unknown>(shared),
          table: table.share(),
        },
      }),
    )
    for (const { ownSocket, count } of roles) if (ownSocket) sockets.at(count - 1)
    return { sockets, shared, table, control, roles }
  } catch (error) {
    for (const giveBack of made.reverse()) giveBack()
    throw error
  }
}

type Roles = Readonly<Record<string, Role<unknown, unknown>>>

/** Where and how often a role runs. */
function placeOf(
  role: Role<unknown, unknown>,
  options: unknown,
  onCaller: boolean,
): Pick<RolePlan, 'place' | 'count' | 'resizable'> {
  const count = typeof role.count === 'function' ? role.count(options) : (role.count ?? 1)
  const place = role.place === 'thread or caller' ? (onCaller ? 'caller' : 'thread') : role.place
  const resizable = typeof role.resizable === 'function' ? role.resizable(options) : role.resizable
  return { place, count, resizable }
}

/** Tells whether every unit that these options ask for can run on the calling thread. */
export function runsOnCaller(roles: Roles, options: unknown): boolean {
  return Object.values(roles).every((role) => {
    const { place, count } = placeOf(role, options, true)
    return place === 'caller' || count === 0
  })
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

function checkPath(model: string, roles: Roles): void {
  if (!Object.values(roles).some(({ ownSocket }) => ownSocket === true)) return
  throw new OptionError(
    `option 'path' cannot be used: ${model} opens a socket for each process on one address, which SO_REUSEPORT allows for ` +
      'ports alone',
  )
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
  parts: () => Parts,
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
    stats: () => statisticsOf(model, mechanism, supervisor, parts()),
    close,
    force: () => supervisor.force(),
    grow: () => supervisor.grow(),
    shrink: () => supervisor.shrink(),
    [Symbol.asyncDispose]: close,
  }
}

function statisticsOf(
  model: string,
  mechanism: string | undefined,
  { seats, former }: Supervisor,
  parts: Parts,
): Statistics {
  const units = seats.map(statisticsOfUnit)
  const sum = sumOf([former, ...units])
  const restarts = seats.reduce((total, seat) => total + seat.restarts, 0)
  return { model, mechanism, active: sum.accepted - sum.closed, ...sum, restarts, units, parts }
}

function statisticsOfUnit({ plan, name, state, pid, tid, restarts, counts }: Seat): UnitStatistics {
  return { role: plan.boot.role, name, state, pid, tid, restarts, ...counts }
}

/** Closes what the roles share and can be closed: whoever is blocked on it wakes. */
function closeAll(shared: unknown): void {
  for (const each of Object.values(shared ?? {}).flat()) (each as { close?: () => void } | null)?.close?.()
}

function logLine(message: string): void {
  process.stderr.write(`${message}\n`)
}
