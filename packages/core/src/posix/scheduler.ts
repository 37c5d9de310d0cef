/** How the kernel's scheduler treats a thread: sched_getattr(2), sched_setattr(2). Linux alone. */

import { ENOSYS } from './errors.js'
import { declare, outcome } from './ffi.js'
import { platformName } from './platform.js'

// Through syscall(2): glibc has functions of its own from 2.41 on, musl none.
const c = declare({
  get: 'int syscall(long number, int tid, void* attributes, uint32_t size, uint32_t flags)',
  set: 'int syscall(long number, int tid, void* attributes, uint32_t flags)',
})

/** The numbers of the two calls. */
const NUMBERS: Readonly<Record<string, readonly [number, number]>> = {
  'linux-x64': [315, 314],
  'linux-arm64': [275, 274],
}

const THIS_THREAD = 0
const SIZE = 48 // bytes of `struct sched_attr` in its first version
const RUNTIME = 3 // the 64-bit word of sched_runtime

const attributes = new BigUint64Array(SIZE / 8)

/**
 * Asks the fair scheduler to give the calling thread the processor in slices of so many microseconds (100 to 100,000; 0: the
 * system's own): the shorter, the sooner it runs when it wakes, and the sooner another may take its place. A hint, in effect
 * from Linux 6.12 on; returns 0 or a negative errno (-ENOSYS where the call is not known). man 2 sched_setattr
 */
export function setSlice(microseconds: number): number {
  const numbers = NUMBERS[platformName]
  if (numbers === undefined) return -ENOSYS
  const [get, set] = numbers
  const known = outcome(c.get(get, THIS_THREAD, attributes, SIZE, 0)) // what is not asked for stays as it is
  if (known < 0) return known
  attributes[RUNTIME] = BigInt(microseconds) * 1000n
  return outcome(c.set(set, THIS_THREAD, attributes, 0))
}
