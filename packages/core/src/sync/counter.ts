/**
 * A counter of up to 2^53 in two cells of shared memory, low word first; its writers and readers hold the lock over it.
 */
export const COUNTER_CELLS = 2

const LOW = 0
const HIGH = 1

/** Adds `count` (0 to 2^31-1). */
export function advance(cells: Int32Array, counter: number, count: number): void {
  const before = cells[counter + LOW] >>> 0
  const after = (before + count) >>> 0
  cells[counter + LOW] = after
  if (after < before) cells[counter + HIGH]++
}

/** Reads the whole count. */
export function total(cells: Int32Array, counter: number): number {
  return (cells[counter + HIGH] >>> 0) * 2 ** 32 + (cells[counter + LOW] >>> 0)
}
