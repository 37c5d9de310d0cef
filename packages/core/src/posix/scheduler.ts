/** How the kernel's scheduler treats a thread, and where: sched_setattr(2), sched_setaffinity(2). Linux alone. */

import { ENOSYS } from './errors.js'
import { declare, outcome } from './ffi.js'
import { platformName } from './platform.js'

// The first two through syscall(2): glibc has functions of its own from 2.41 on, musl none.
const c = declare({
  get: 'int syscall(long number, int tid, void* attributes, uint32_t size, uint32_t flags)',
  set: 'int syscall(long number, int tid, void* attributes, uint32_t flags)',
  getAffinity: 'int sched_getaffinity(int tid, size_t size, void* mask)',
  setAffinity: 'int sched_setaffinity(int tid, size_t size, void* mask)',
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
const POLICIES = { normal: 0n, batch: 3n } as const

const attributes = new BigUint64Array(SIZE / 8)

/** A bit for each processor, as many as Linux can be built for. */
const mask = new Uint8Array(8192 / 8)

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
 * Puts the calling thread under SCHED_BATCH: when it wakes it interrupts nobody who runs, but waits for a processor; or under
 * SCHED_OTHER, the system's own. Threads and processes that it starts inherit that. Returns 0 or a negative errno (-ENOSYS where
 * the call is not known). man 7 sched
 */
export function setPolicy(policy: keyof typeof POLICIES): number {
  return change(() => {
    attributes[POLICY] = (attributes[POLICY]! & 0xffff_ffffn) | (POLICIES[policy] << 32n)
  })
}

/** The numbers of the processors on which the calling thread may run; none where the system does not tell. man 2 sched_getaffinity */
export function processors(): number[] {
  if (process.platform !== 'linux' || outcome(c.getAffinity(THIS_THREAD, mask.length, mask)) < 0) return []
  return Array.from({ length: 8 * mask.length }, (_, number) => number).filter(isInMask)
}

/**
 * Has the calling thread run on this processor and no other; threads and processes that it starts inherit that. Returns 0 or a
 * negative errno (-EINVAL where it may not run there). man 2 sched_setaffinity
 */
export function setProcessor(number: number): number {
  if (process.platform !== 'linux') return -ENOSYS
  mask.fill(0)
  mask[number >> 3] = 1 << (number & 7)
  return outcome(c.setAffinity(THIS_THREAD, mask.length, mask))
}

function isInMask(number: number): boolean {
  return (mask[number >> 3]! & (1 << (number & 7))) !== 0
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
