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
const POLICY = 0 // the 64-bit word of which sched_policy is the upper half
const RUNTIME = 3 // that of sched_runtime
const SCHED_BATCH = 3n

const attributes = new BigUint64Array(SIZE / 8)

/**
 * Asks the fair scheduler to give the calling thread the processor in slices of so many microseconds (100 to 100,000; 0: the
 * system's own): the shorter, the sooner it runs when it wakes, and the sooner another may take its place. A hint, in effect
 * from Linux 6.12 on; returns 0 or a negative errno (-ENOSYS where the call is not known). man 2 sched_setattr
 */
export function setSlice(microseconds: number): number {
  return change(() => {
    attributes[RUNTIME] = BigInt(microseconds) * 1000n
  })
}

/**
 * Puts the calling thread under SCHED_BATCH: when it wakes it interrupts nobody who runs, but waits for a processor. Threads and
 * processes that it starts inherit that. Returns 0 or a negative errno (-ENOSYS where the call is not known). man 7 sched
 */
export function setBatch(): number {
  return change(() => {
    attributes[POLICY] = (attributes[POLICY]! & 0xffff_ffffn) | (SCHED_BATCH << 32n)
  })
}

/** What is not edited stays as it is. */
function change(edit: () => void): number {
  const numbers = NUMBERS[platformName]
  if (numbers === undefined) return -ENOSYS
  const [get, set] = numbers
  const known = outcome(c.get(get, THIS_THREAD, attributes, SIZE, 0))
  if (known < 0) return known
  edit()
  return outcome(c.set(set, THIS_THREAD, attributes, 0))
}
