import { DEFAULT_TIMEOUTS, type Timeouts } from '../connection/index.js'
import type { Affinity, Scheduling } from '../host/index.js'
import { DEFAULT_LIMITS, type HttpLimits } from '../http/index.js'
import { choice, integer, milliseconds, type OptionSpecs } from './options.js'

/** What every model honours, whatever else it offers. A thread that blocks on its clients may notice a timeout up to a second late. */
export interface CommonOptions {
  /** Connections that may wait to be accepted; the kernel's own bound applies too. Default: 4096. */
  readonly backlog: number
  /** Time from the first byte of a request to the end of its head, in ms. Default: 20 s; then 408. */
  readonly headTimeout: number
  /** Time without a byte of a request body that is being read, in ms. Default: 30 s; then 408. */
  readonly bodyTimeout: number
  /** Time in which a client takes not a byte of its response, in ms. Default: 30 s; then the connection is cut. */
  readonly writeTimeout: number
  /** Time between two requests of a connection, in ms. Default: 65 s; then it is closed. */
  readonly idleTimeout: number
  /** Time that requests get to finish when the server closes, in ms. Default: 10 s; then they are cut. */
  readonly drainTimeout: number
  /** Time that a thread or process gets to become ready, the app loaded, in ms. Default: 30 s; then it is killed. */
  readonly startTimeout: number
  /**
   * How Linux schedules the threads and processes that the server starts, and what those start (man 7 sched). `batch`: one that
   * wakes waits for a processor; as none is interrupted, each handles more requests at a time. `normal`: one that wakes may
   * interrupt another, which is sooner for it where other programs compute on the same processors. Default: 'batch'.
   */
  readonly scheduling: Scheduling
  /**
   * Where Linux runs them (man 2 sched_setaffinity). `none`: where there is room. `handlers`: of the threads, or processes, that run
   * handlers the first stay on one processor each, of those that the server may use, and threads that only do I/O come before
   * others. Beside handlers that compute, requests then wait less; what a handler starts is bound to its processor, too.
   * Default: 'none'.
   */
  readonly affinity: Affinity
  /** Bytes of a request line. Default: 8192; beyond it 414. */
  readonly maxRequestLine: number
  /** Bytes of a header section. Default: 16384; beyond it 431. */
  readonly maxHeaderBytes: number
  /** Fields of a header section. Default: 256; beyond it 431. */
  readonly maxHeaders: number
  /** Bytes of a request body. Default: 134217728; beyond it 413. */
  readonly maxBody: number
}

export const COMMON_OPTIONS: OptionSpecs<CommonOptions> = {
  backlog: integer('connections that may wait to be accepted', { default: 4096, min: 1, max: 65_535 }),
  headTimeout: milliseconds('time for the head of a request', { default: DEFAULT_TIMEOUTS.head }),
  bodyTimeout: milliseconds('time without a byte of a request body', { default: DEFAULT_TIMEOUTS.body }),
  writeTimeout: milliseconds('time without a byte of a response taken', { default: DEFAULT_TIMEOUTS.write }),
  idleTimeout: milliseconds('time between two requests of a connection', { default: DEFAULT_TIMEOUTS.idle }),
  drainTimeout: integer('time for requests to finish when the server closes, in ms', {
    default: 10_000,
    max: 86_400_000,
  }),
  startTimeout: integer('time for a thread or process to become ready, in ms', {
    default: 30_000,
    min: 1,
    max: 86_400_000,
  }),
  scheduling: choice('how Linux schedules threads and processes that wake: they wait their turn, or interrupt others', {
    default: 'batch',
    choices: ['batch', 'normal'],
  }),
  affinity: choice('which threads stay on a processor: none, or the first that run handlers, on one each', {
    default: 'none',
    choices: ['none', 'handlers'],
  }),
  maxRequestLine: integer('bytes of a request line', { default: DEFAULT_LIMITS.requestLine, min: 64, max: 1 << 20 }),
  maxHeaderBytes: integer('bytes of a header section', { default: DEFAULT_LIMITS.headerBytes, min: 256, max: 1 << 20 }),
  maxHeaders: integer('fields of a header section', { default: DEFAULT_LIMITS.headerCount, min: 1, max: 10_000 }),
  maxBody: integer('bytes of a request body', { default: DEFAULT_LIMITS.body }),
}

export function limitsOf(options: CommonOptions): HttpLimits {
  return {
    requestLine: options.maxRequestLine,
    headerBytes: options.maxHeaderBytes,
    headerCount: options.maxHeaders,
    body: options.maxBody,
  }
}

export function timeoutsOf(options: CommonOptions): Timeouts {
  return {
    head: options.headTimeout,
    body: options.bodyTimeout,
    write: options.writeTimeout,
    idle: options.idleTimeout,
  }
}
