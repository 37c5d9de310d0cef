/** The deadline of a call that must not wait. */
export const NOW = 0

/**
 * Converts a timeout in ms (0 or more, `Infinity` for none) to a point in time; throws RangeError for any other number.
 */
export function deadlineAfter(timeoutMs: number): number {
  if (timeoutMs === Infinity) return Infinity
  if (!(timeoutMs >= 0)) throw new RangeError(`timeoutMs must be 0 or more, or Infinity; it is ${timeoutMs}`)
  return timeoutMs === 0 ? NOW : performance.now() + timeoutMs
}

/** Tells how many ms are left: 0 or less when the deadline has passed. */
export function remaining(deadline: number): number {
  return deadline === Infinity || deadline === NOW ? deadline : deadline - performance.now()
}
