/**
 * What an actor does about its children that fail, as in OTP: the strategy says whom it concerns, a directive what becomes of
 * them, and the intensity (restarts within a period) when the trouble is handed on to the next one up.
 *
 * See: Armstrong, "Making reliable distributed systems in the presence of software errors" (2003) §4.3;
 * Erlang/OTP, supervisor(3)
 */

import type { ActorRef } from './ref.js'

/**
 *   restart    it begins anew with the behaviour that it was spawned with; what waits in its mailbox stays
 *   resume     it goes on as if nothing had happened; the message that it failed on is gone
 *   stop       it ends
 *   escalate   the supervisor itself fails with the error
 */
export type Directive = 'restart' | 'resume' | 'stop' | 'escalate'

export interface Supervision {
  /** Whom a restart, or a stop, concerns: the child that failed, or all children. Default: 'one-for-one'. */
  readonly strategy?: 'one-for-one' | 'all-for-one'
  /** What to do about an error. Default: restart. */
  readonly decide?: Directive | ((error: unknown, child: ActorRef<never>) => Directive)
  /** Restarts of its children within the period after which the supervisor fails itself. Default: 10. */
  readonly maxRestarts?: number
  /** The period, in ms. Default: 10,000. */
  readonly withinMs?: number
  /** How long to wait before a restart. Default: not at all. */
  readonly backoff?: Backoff
}

export interface Backoff {
  /** Before the first restart within the period, in ms; doubled for each that follows. */
  readonly minMs: number
  /** At most, in ms. */
  readonly maxMs: number
  /** How much longer it may be, by chance, so that not all come back at once: 0 to 1. Default: 0.2. */
  readonly jitter?: number
}

/** The children of an actor have failed too often; `cause` is the last error. */
export class RestartLimitError extends Error {
  readonly code = 'CS_RESTART_LIMIT'

  constructor(path: string, maxRestarts: number, withinMs: number, cause: unknown) {
    super(`a child of ${path} failed after ${maxRestarts} restarts within ${withinMs} ms`, { cause })
    this.name = 'RestartLimitError'
  }
}

/** Counts restarts within a period. */
export class Intensity {
  readonly #times: number[] = []

  /** Notes a restart, and tells how long to wait before it, in ms; undefined where there have been too many. */
  delay({ maxRestarts = 10, withinMs = 10_000, backoff }: Supervision, now: number): number | undefined {
    const times = this.#times
    while (times.length > 0 && now - times[0] > withinMs) times.shift()
    if (times.length >= maxRestarts) return undefined
    times.push(now)
    if (backoff === undefined) return 0
    const { minMs, maxMs, jitter = 0.2 } = backoff
    return Math.min(maxMs, minMs * 2 ** (times.length - 1)) * (1 + Math.random() * jitter)
  }
}

/** Says what to do about an error. */
export function directiveFor({ decide = 'restart' }: Supervision, error: unknown, child: ActorRef<never>): Directive {
  return typeof decide === 'function' ? decide(error, child) : decide
}
