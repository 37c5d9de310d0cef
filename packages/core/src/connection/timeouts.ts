/** How long a client may take, in milliseconds; 0 means for ever. No timeout ever counts the time a handler takes. */
export interface Timeouts {
  /** From the first byte of a request, or from a connection's beginning, to the end of its head. Then 408. */
  readonly head: number
  /** Without a byte of a request body that is being read. Then 408. */
  readonly body: number
  /** Without a byte of a response being taken. Then the connection is cut. */
  readonly write: number
  /** Between requests. Then the connection is closed. */
  readonly idle: number
}

export const DEFAULT_TIMEOUTS: Timeouts = { head: 20_000, body: 30_000, write: 30_000, idle: 65_000 }

/** Milliseconds for which a thread that blocks waits for a client, at most, before it looks at the time. */
export const BLOCKING_TICK_MS = 1000
const LEAST_TICK_MS = 20

/** The same, with these timeouts: no longer than the shortest. */
export function tickOf(timeouts: Timeouts): number {
  const shortest = Math.min(...Object.values(timeouts).filter((each) => each > 0))
  return Math.max(LEAST_TICK_MS, Math.min(BLOCKING_TICK_MS, shortest))
}

/** For how long a closing connection still reads what a client had sent, so that no reset overtakes the answer. */
export const LINGER_MS = 1000

/** How long a connection must have been silent before a drain, or others who wait for its thread, close it: a request may be on its way. */
export const QUIET_MS = 150
