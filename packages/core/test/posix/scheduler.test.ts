import { readFileSync } from 'node:fs'
import { setSlice } from '@cs/core/posix'
import { describe, expect, it } from 'vitest'

/** Microseconds that the scheduler gives this thread at once, as the kernel tells it; undefined where it does not. */
function slice(): number | undefined {
  try {
    const told = /^se\.slice\s*:\s*(\d+)/m.exec(readFileSync('/proc/thread-self/sched', 'utf8'))?.[1]
    return told === undefined ? undefined : Number(told) / 1000
  } catch {
    return undefined
  }
}

describe('a slice', () => {
  it.skipIf(slice() === undefined)('is what was asked for (Linux 6.12), until it is given back', () => {
    const before = slice()
    expect(setSlice(300)).toBe(0)
    expect(slice()).toBe(300)
    expect(setSlice(0)).toBe(0)
    expect(slice()).toBe(before)
  })

  it.runIf(process.platform === 'linux')('keeps all else of the thread as it is', () => {
    const other = (): string[] => readFileSync('/proc/thread-self/sched', 'utf8').match(/^(policy|prio).*$/gm) ?? []
    const before = other()
    expect(setSlice(300)).toBe(0)
    expect(other()).toEqual(before)
    setSlice(0)
  })
})
