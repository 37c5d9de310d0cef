/**
 * A turnstile: where threads wait for a change of something that a lock guards, and are called one for each chance.
 *
 *   park (lock held):  IDLE + 1 ── unlock ── sleep while TURN is unchanged ── lock ── CALLED - 1, or else IDLE - 1
 *   call (lock held):  moves n threads from IDLE to CALLED, TURN + 1        wake (lock left): notifies those n
 *
 * A called thread is not called again, however long it takes to wake: n changes cost at most n notifications, and none
 * when nobody is idle. A thread that wakes for another reason (its deadline, or a TURN that changed before it slept)
 * uses up a call if there is one; it looks at the guarded state like the thread it stands in for, so no chance is lost.
 * Threads sleep in the order they came, and V8 wakes them in that order.
 */
import { remaining } from './deadline.js'
import { lock, unlock } from './mutex.js'

export const TURNSTILE_CELLS = 3

/** Grows by one with each call. Written under the lock; sleepers watch it without. */
const TURN = 0
/** Threads that wait and have not been called. Written under the lock. */
const IDLE = 1
/** Threads that have been called and have not yet come. Written under the lock. */
const CALLED = 2

/**
 * Leaves the lock, sleeps until called or until the deadline, and takes the lock again; returns false, without having
 * left the lock, when the deadline had passed before. A thread that holds the lock only.
 */
export function park(cells: Int32Array, turnstile: number, lockAt: number, deadline: number): boolean {
  const left = remaining(deadline)
  if (left <= 0) return false
  const turn = cells[turnstile + TURN]
  cells[turnstile + IDLE]++
  unlock(cells, lockAt)
  Atomics.wait(cells, turnstile + TURN, turn, left)
  lock(cells, lockAt)
  if (cells[turnstile + CALLED] > 0) cells[turnstile + CALLED]--
  else cells[turnstile + IDLE]--
  return true
}

/** Calls up to `threads` of those that wait and returns how many to wake. A thread that holds the lock only. */
export function call(cells: Int32Array, turnstile: number, threads: number): number {
  const called = Math.min(threads, cells[turnstile + IDLE])
  if (called === 0) return 0
  cells[turnstile + IDLE] -= called
  cells[turnstile + CALLED] += called
  // Tells a thread on its way to sleep not to.
  Atomics.add(cells, turnstile + TURN, 1)
  return called
}

/** Wakes the threads that were called. A thread that has left the lock: they need it next. */
export function wake(cells: Int32Array, turnstile: number, called: number): void {
  if (called > 0) Atomics.notify(cells, turnstile + TURN, called)
}

/** Counts the threads that wait and have not been called. Any thread. */
export function idle(cells: Int32Array, turnstile: number): number {
  return Atomics.load(cells, turnstile + IDLE)
}
