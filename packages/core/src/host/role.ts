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
  /**
   * Runs other roles of the model on threads of this process, watched and restarted like all units, until the server stops or this
   * unit is to leave; the unit is ready once they are. Only for a role in processes whose settings say that it `nests`, once.
   * @throws ServerError where they do not start, or die again and again
   */
  threads(plan: ThreadPlan): Promise<void>
  /** Asks for so many more units of the role whose settings have a `population`, for as long as its bounds allow. Does not wait. */
  more(units: number): void
  /** Asks to be replaced: once another unit is ready in its place, this one is told to stop. Says it once, however often called. */
  replace(): void
  /** Must be called by each unit that accepts, when it will take no more: then the host closes the listening socket. */
  acceptedLast(): void
}

/** What runs on threads of a process. */
export interface ThreadPlan {
  /** What they share. */
  readonly shared: object
  /** How many units run of each role, by its name. */
  readonly counts: Readonly<Record<string, number>>
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

/** Bounds between which the number of units of a role may change. */
export interface Bounds {
  readonly min: number
  readonly max: number
}

/**
 * What lets units of a role come and go on the word of the model: a unit may return while the server runs, and is not replaced
 * then; others are started as another role asks for them (`more`). Called by the host.
 */
export interface Population<Shared> {
  /** Notes that one more unit is to be there, and is being started. */
  readonly admit?: (shared: Shared) => void
  /** Has one unit return, whichever is the first to see it; does not block. */
  readonly dismiss: (shared: Shared) => void
  /** Settles what a unit that died had in hand; another is started in its place, under the same index. */
  readonly forget?: (shared: Shared, index: number) => void
}

/** How many units of a role run, and what they need. */
export interface RoleSettings<Options, Shared = never> {
  /** Default: 1. */
  readonly count?: number | ((options: Options) => number)
  /** Whether the names of its threads have numbers even where there is one. Default: only where there may be several. */
  readonly numbered?: boolean
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
  readonly resizable?: Bounds | ((options: Options) => Bounds)
  /** How units leave where no order can reach them, as on a queue, or come on demand. Default: the host orders each. */
  readonly population?: Population<Shared>
  /** Tells whether others wait for the unit's thread. Default: a unit whose sockets block looks at the backlog, others never do. */
  readonly crowded?: (shared: Shared) => boolean
  /** Tells whether others wait for a thread that is being started: answers are the last of their connections then. Default: never. */
  readonly awaited?: (shared: Shared) => boolean
  /**
   * Whether each unit listens on a socket of its own, all on one port (SO_REUSEPORT); `'on ports'`: it does where the server
   * listens on a port, and shares the socket on a path. Default: false.
   */
  readonly ownSocket?: boolean | 'on ports'
  /** Milliseconds for which a unit with a connection in hand may show no sign of life before it is killed; 0: any. Default: 0. */
  readonly heartbeat?: (options: Options) => number
  /** Children that the role, which has one unit in a process, may have forked at once. Default: 0, it does not fork. */
  readonly children?: (options: Options) => number
  /** Whether the role is ready only once the `threads` are that it starts in its process. Default: false. */
  readonly nests?: boolean
  /** Flags of node for the processes of the role. Default: none but those of the host. */
  readonly flags?: readonly string[]
}

/** A role of a model: what runs, how often, and where. */
export interface Role<Options, Shared> extends RoleSettings<Options, Shared> {
  readonly place: Place
  readonly run: (context: RoleContext<Options, Shared>) => void | Promise<void>
}

type Run<Options, Shared> = Role<Options, Shared>['run']

/** A role on worker threads of this process. */
export function onThread<O, S>(settings: RoleSettings<O, S>, run: Run<O, S>): Role<O, S> {
  return { ...settings, place: 'thread', run }
}

/** A role on a worker thread, or on the calling thread where the app is given as a function. */
export function onThreadOrCaller<O, S>(settings: RoleSettings<O, S>, run: Run<O, S>): Role<O, S> {
  return { ...settings, place: 'thread or caller', run }
}

/** A role in child processes that inherit the listening socket. */
export function onProcess<O, S>(settings: RoleSettings<O, S>, run: Run<O, S>): Role<O, S> {
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
