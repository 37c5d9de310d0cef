import { inspect } from 'node:util'
import {
  DateField,
  DEFAULT_LIMITS,
  type HttpContext,
  type HttpLimits,
  type HttpMachine,
  Output,
} from '../http/index.js'
import { write } from '../posix/index.js'
import { ConnectionTable } from '../socket/index.js'
import { COUNTERS, ERRORS } from './counters.js'
import { DEFAULT_TIMEOUTS, type Timeouts, tickOf } from './timeouts.js'
import { type Transport, transportOfCalls } from './transport.js'

/** An app: what a fetch handler's default export is on every platform that has one. */
export interface FetchApp {
  fetch(request: Request): Response | Promise<Response>
}

/** What a service is made of; everything but the app has a default. */
export interface ServiceOptions {
  readonly app: FetchApp
  readonly limits?: HttpLimits
  readonly timeouts?: Timeouts
  readonly table?: ConnectionTable
  /** The number under which this thread owns connections, from 1. Default: 1. */
  readonly owner?: number
  readonly counters?: Float64Array
  /** A cell in which the thread shows that it comes round; see {@link Service.tick}. */
  readonly pulse?: Int32Array
  /** Is told of errors that no client can be told of. Default: one line on standard error. */
  readonly log?: (message: string, error?: unknown) => void
  /** Asked at each response whether the server stops, so that the response is the connection's last. Default: never. */
  readonly stopping?: () => boolean
  /** Asked likewise whether another client waits for this thread, which serves one at a time. Default: never. */
  readonly crowded?: () => boolean
  /** Asked likewise whether others wait who will have a thread of their own soon. Default: never. */
  readonly awaited?: () => boolean
  /** Whether the sockets block in recv(2) and send(2). Default: false. */
  readonly blocking?: boolean
  /** Whether to read on while a handler works, as a demultiplexer can, to notice clients that leave. Default: false. */
  readonly readsAhead?: boolean
  /** Bytes of a request that must be there, or its end, before the app is called. Default: 0, its head is enough. */
  readonly gather?: number
}

/** What makes the clock of this thread that of all threads and processes: CLOCK_MONOTONIC, which no clock change moves. */
const CLOCK_OFFSET: number = Math.max(...Array.from({ length: 3 }, clockOffset))

/** Too small by however long the thread is held up between its two looks. */
function clockOffset(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6 - performance.now()
}

/** Milliseconds, with a fraction, on a clock that all threads and processes share. */
export function monotonicTime(): number {
  return performance.now() + CLOCK_OFFSET
}

/** The same in whole milliseconds, wrapping at 2^31. */
export function monotonicNow(): number {
  return monotonicTime() | 0
}

/** Bytes that one recv(2) may bring. */
const RECEIVE_BYTES = 64 * 1024

/** What all connections of one thread share: the app, the buffers, the clock, the counters. Owner thread only. */
export class Service implements HttpContext {
  /** Who answers; set, if at all, before the first connection. */
  app: FetchApp
  readonly limits: HttpLimits
  readonly timeouts: Timeouts
  /** Milliseconds for which a thread that blocks waits for a client before it looks at the time. */
  readonly tickMs: number
  readonly table: ConnectionTable
  readonly owner: number
  /** Where this thread counts; a forked child has cells of its own. */
  counters: Float64Array
  readonly pulse: Int32Array
  readonly log: (message: string, error?: unknown) => void
  readonly stopping: () => boolean
  readonly crowded: () => boolean
  readonly awaited: () => boolean
  readonly blocking: boolean
  readonly readsAhead: boolean
  readonly gather: number
  readonly buffer: Buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES)
  readonly output: Output = new Output()
  readonly date: DateField = new DateField(Date.now())
  /** How the connections of this thread send and end; set before the first of them. */
  transport: Transport = transportOfCalls
  /** Milliseconds on the clock of the connection table (monotonic, wrapping at 2^31), as of the last {@link tick}. */
  now = 0
  /** The same moment in milliseconds with a fraction, without wrapping. */
  time = 0
  /** True once handlers have run since whoever resets it last gave the thread's event loop a turn. */
  appRan = false
  /** The machine that is at work, whose bytes are in the output. */
  active: HttpMachine | undefined
  /** Handlers that have not answered yet. */
  pending = 0

  constructor(options: ServiceOptions) {
    this.app = options.app
    this.limits = options.limits ?? DEFAULT_LIMITS
    this.timeouts = options.timeouts ?? DEFAULT_TIMEOUTS
    this.tickMs = tickOf(this.timeouts)
    this.table = options.table ?? ConnectionTable.create()
    this.owner = options.owner ?? 1
    this.counters = options.counters ?? new Float64Array(COUNTERS)
    this.pulse = options.pulse ?? new Int32Array(1)
    this.log = options.log ?? logLine
    this.stopping = options.stopping ?? never
    this.crowded = options.crowded ?? never
    this.awaited = options.awaited ?? never
    this.blocking = options.blocking ?? false
    this.readsAhead = options.readsAhead ?? false
    this.gather = options.gather ?? 0
    this.tick()
  }

  /** Reads the clock: once a turn of a loop, or before each request of a blocking server. A sign of life, too. */
  tick(): void {
    this.time = monotonicTime()
    this.now = this.time | 0
    this.pulse[0] = this.now | 1 // one aligned store, which the host sees sooner or later; 0 means at rest
    this.date.tick(Date.now())
  }

  /** Says that the thread waits with nothing in hand, so that nobody need expect a sign of life. */
  rest(): void {
    this.pulse[0] = 0
  }

  /** Counts a request that the machine itself answered. */
  refused(): void {
    this.counters[ERRORS]++
  }
}

function never(): boolean {
  return false
}

/** Writes to descriptor 2 at once: a thread that blocks a moment later would never flush a stream. */
function logLine(message: string, error?: unknown): void {
  const detail = error === undefined ? '' : `: ${inspect(error)}`
  const line = Buffer.from(`${message}${detail}\n`)
  write(2, line, 0, line.length)
}
