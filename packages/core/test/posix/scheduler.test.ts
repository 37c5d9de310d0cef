import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { EINVAL, setSlice } from '@cs/core/posix'
import { describe, expect, it } from 'vitest'

/** Whether threads can have slices of their own: from Linux 6.12 on. */
const [MAJOR, MINOR] = release().split('.').map(Number)
const HAS_SLICES = process.platform === 'linux' && (MAJOR > 6 || (MAJOR === 6 && MINOR >= 12))

/** Microseconds that the scheduler gives this thread at once, as the kernel tells it; undefined where it does not. */
function slice(): number | undefined {
  if (!HAS_SLICES) return undefined
  try {
    const told = /^se\.slice\s*:\s*(\d+)/m.exec(readFileSync('/proc/thread-self/sched', 'utf8'))?.[1]
    return told === undefined ? undefined : Number(told) / 1000
  } catch {
    return undefined
  }
}

describe('a slice', () => {
  it.skipIf(slice() === undefined)('is what was asked for, until it is given back', () => {
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
  import { setPolicy } from '${import.meta.resolve('@cs/core/posix')}'
  const now = () => readFileSync('/proc/thread-self/stat', 'latin1').split(') ')[1].split(' ')
  const before = now()
  const result = setPolicy('batch')
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

/** Goes to the last of the processors that it may use; prints what these were and are, and which it was refused. */
const AFFINITY = `
  import { readFileSync } from 'node:fs'
  import { processors, setProcessor } from '${import.meta.resolve('@cs/core/posix')}'
  const told = () => /^Cpus_allowed_list:\\s+(.*)$/m.exec(readFileSync('/proc/thread-self/status', 'latin1'))[1]
  const [before, toldBefore] = [processors(), told()]
  const results = [setProcessor(before.at(-1)), setProcessor(8191)]
  console.log(JSON.stringify({ before, toldBefore, results, now: processors(), told: told() }))
`

describe('affinity', () => {
  it.runIf(process.platform === 'linux')('is one processor of those that the thread may use, and no other', () => {
    const words = ['--input-type=module', '-e', AFFINITY]
    const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' })
    expect(stderr).toBe('')
    const { before, toldBefore, results, now, told } = JSON.parse(stdout)
    const ranges: number[][] = toldBefore.split(',').map((range: string) => range.split('-').map(Number))
    expect(before).toEqual(
      ranges.flatMap(([first, last = first]) => Array.from({ length: last - first + 1 }, (_, i) => first + i)),
    )
    expect(results).toEqual([0, -EINVAL])
    expect(now).toEqual([before.at(-1)])
    expect(told).toBe(String(before.at(-1)))
  })
})
