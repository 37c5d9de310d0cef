/** What the workers of both process pools have in common: how long one lives, and when it counts as stuck. */

import { integer, milliseconds, type OptionSpec, REQUESTS, type Service } from '@cs/core'

/** The options of both pools besides the number of processes. */
export interface WorkerOptions {
  /** Requests after which a process is replaced, as a cure for leaks; 0: never. Default: 0. */
  readonly maxRequests: number
  /** At most so many requests more, chosen anew by each process, so that they are not all replaced at once. Default: 0. */
  readonly maxRequestsJitter: number
  /** Time in ms for which a process that has a client may block without a sign of life; then it is killed. 0: any. Default: 0. */
  readonly heartbeat: number
}

export const MAX_REQUESTS: OptionSpec<number> = integer('requests after which a process is replaced; 0: never', {
  default: 0,
})
export const MAX_REQUESTS_JITTER: OptionSpec<number> = integer('requests at random on top of maxRequests', {
  default: 0,
})
export const HEARTBEAT: OptionSpec<number> = milliseconds(
  'time without a sign of life of a process that has a client',
  {
    default: 0,
  },
)

/** Draws how many requests this process may serve, and returns what tells whether it has. */
export function isWornOut({ maxRequests, maxRequestsJitter }: WorkerOptions, { counters }: Service): () => boolean {
  const most = maxRequests + Math.floor(Math.random() * (maxRequestsJitter + 1))
  return maxRequests === 0 ? () => false : () => counters[REQUESTS] >= most
}
