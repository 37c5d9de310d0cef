/** Thrown into a coroutine that is cancelled, and where one waits for its result. */
export class CancelledError extends Error {
  readonly code: string = 'ERR_CS_CANCELLED'
  override readonly name: string = 'CancelledError'
}

/** Thrown into a coroutine that has had its time; see within(). */
export class TimeoutError extends Error {
  readonly code: string = 'ERR_CS_TIMEOUT'
  override readonly name: string = 'TimeoutError'
}

/** Thrown where coroutines wait for one another and for nothing else. */
export class DeadlockError extends Error {
  readonly code: string = 'ERR_CS_DEADLOCK'
  override readonly name: string = 'DeadlockError'
}

/** Speaks of one that may have no name. */
export function named(kind: string, name: string): string {
  return name === '' ? `a ${kind}` : `the ${kind} '${name}'`
}
