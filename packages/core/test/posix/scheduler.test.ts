import { spawnSync } from 'node:child_process'
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

/** Sets what it is told to in a process of its own; prints the result, its policy and its nice value before and after. */
const BATCH = `
  import { readFileSync } from 'node:fs'
  import { setBatch } from '${import.meta.resolve('@cs/core/posix')}'
  const now = () => readFileSync('/proc/thread-self/stat', 'latin1').split(') ')[1].split(' ')
  const before = now()
  const result = setBatch()
  console.log(JSON.stringify({ result, policies: [before[38], now()[38]], nice: [before[16], now()[16]] }))
`

describe('batch scheduling', () => {
  it.runIf(process.platform === 'linux')('is that of the calling thread from then on, whose nice value stays', () => {
    const words = ['-n', '5', process.execPath, '--input-type=module', '-e', BATCH]
    const { stdout, stderr } = spawnSync('nice', words, { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({ result: 0, policies: ['0', '3'], nice: ['5', '5'] })
  })
})
