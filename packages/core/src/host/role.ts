import type { Service } from '../connection/index.js'
import type { ChildRows } from '../loop/index.js'
import type { Listener } from '../socket/index.js'

/** What a role is given to work with. */
export interface RoleContext<Options, Shared> {
  /** The model's options, checked, with defaults filled in. */
  readonly options: Options
  /** What the model's roles share. */
  readonly shared: Shared
  readonly listener: Listener
  /** The app, the buffers, the clock and the counters of this thread; in a role that handles no requests, without the app. */
  readonly service: Service
  readonly stop: StopSignal
  /** Hands on what it is given and has the host close its descriptors if the thread dies. */
  owned<T extends { readonly descriptors: readonly number[] }>(demux: T): T
  /** The number of this unit among those of its role, from 0. */
  readonly index: number
  /** Cells for the children that the role may fork; none unless its settings say how many. */
  readonly children: ChildRows
  /** Asks to be replaced: once another unit is ready in its place, this one is told to stop. Says it once, however often called. */
  replace(): void
  /** Must be called by each unit that accepts, when it will take no more: then the host closes the listening socket. */
  acceptedLast(): void
}

/** How a role learns that it is to end. */
export interface StopSignal {
  /** An eventfd that becomes, and stays, readable when the server or this unit is to stop. */
  readonly fd: number
  /** True once the server drains, or others do this unit's work: take no more connections, finish those accepted, return. */
  readonly requested: boolean
  /** True once the drain has taken too long: close everything, return. */
  readonly forced: boolean
}

/** Where a role runs. */
export type Place = 'thread' | 'process' | 'thread or caller'

/** How many units of a role run, and what they need. */
export interface RoleSettings<Options> {
  /** Default: 1. */
  readonly count?: number | ((options: Options) => number)
  /** Whether the role calls the app, which is then loaded where it runs. Default: true. */
  readonly handles?: boolean
  /** Whether the role accepts connections, and so calls `acceptedLast`. Default: true. */
  readonly accepts?: boolean
  /** Whether the sockets of the service block. Default: false. */
  readonly blocking?: boolean
  /** Whether the service reads on while handlers work, to notice clients that leave. Default: false. */
  readonly readsAhead?: boolean
  /** Bytes of a request that the service gathers before it calls the app. Default: 0. */
  readonly gather?: number
  /** Bounds between which units are added and taken away while the server runs. Default: their number is fixed. */
  readonly resizable?: { readonly min: number; readonly max: number }
  /** Whether each unit listens on a socket of its own, all on one port (SO_REUSEPORT). Default: false. */
  readonly ownSocket?: boolean
  /** Milliseconds for which a unit with a connection in hand may show no sign of life before it is killed; 0: any. Default: 0. */
  readonly heartbeat?: (options: Options) => number
  /** Children that the role, which has one unit in a process, may have forked at once. Default: 0, it does not fork. */
  readonly children?: (options: Options) => number
  /** Flags of node for the processes of the role. Default: none but those of the host. */
  readonly flags?: readonly string[]
}

/** A role of a model: what runs, how often, and where. */
export interface Role<Options, Shared> extends RoleSettings<Options> {
  readonly place: Place
  readonly run: (context: RoleContext<Options, Shared>) => void | Promise<void>
}

type Run<Options, Shared> = Role<Options, Shared>['run']

/** A role on worker threads of this process. */
export function onThread<O, S>(settings: RoleSettings<O>, run: Run<O, S>): Role<O, S> {
  return { ...settings, place: 'thread', run }
}

/** A role on a worker thread, or on the calling thread where the app is given as a function. */
export function onThreadOrCaller<O, S>(settings: RoleSettings<O>, run: Run<O, S>): Role<O, S> {
  return { ...settings, place: 'thread or caller', run }
}

/** A role in child processes that inherit the listening socket. */
export function onProcess<O, S>(settings: RoleSettings<O>, run: Run<O, S>): Role<O, S> {
  return { ...settings, place: 'process', run }
}

/** The roles of a model by name, in the order in which they start. */
export type Roles<Options = never, Shared = never> = Readonly<Record<string, Role<Options, Shared>>>

const models = new Map<string, Roles>()

/** Makes the roles of a model known to this thread, which may be told to run one of them. */
export function registerRoles(model: string, roles: Roles): void {
  models.set(model, roles)
}

/** Finds a role of a model whose module this thread has imported. */
export function findRole(model: string, role: string): Role<unknown, unknown> {
  const found = models.get(model)?.[role]
  if (found === undefined) throw new Error(`the model ${model} has no role ${role} in the module that should define it`)
  return found as unknown as Role<unknown, unknown>
}
