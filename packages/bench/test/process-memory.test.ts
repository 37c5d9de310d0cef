import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { openFilesLimit, parseLimits } from '../dist/open-files.js'
import { memoryBytes, parseRollup } from '../dist/process-memory.js'

const onLinux = process.platform === 'linux'
const WHY = 'there is no /proc here'

const rollup = `562d215ce000-7fff8ac45000 ---p 00000000 00:00 0                          [rollup]
Rss:                1664 kB
Pss:                 439 kB
Pss_Dirty:           116 kB
Pss_Anon:            100 kB
Pss_File:            323 kB
Pss_Shmem:            20 kB
Private_Dirty:       116 kB
Anonymous:           116 kB
Swap:                  9 kB
SwapPss:               3 kB
`

describe('/proc/PID/smaps_rollup', () => {
  it('gives anonymous and shared memory, in memory and swapped out, and no files', () => {
    expect(parseRollup(rollup)).toBe(123 * 1024)
  })

  it('is refused where the kernel does not tell them apart', () => {
    expect(() => parseRollup(rollup.replace(/^Pss_Anon.*\n/m, ''))).toThrow('smaps_rollup has no Pss_Anon')
  })
})

describe('the memory of a process', () => {
  it('includes what it and its children hold', async (context) => {
    context.skip(!onLinux, WHY)
    const megabytes = 64
    const child = `globalThis.held = Buffer.alloc(${megabytes << 20}, 1); console.log('held'); setInterval(() => {}, 1e6)`
    const script = `
      const { spawn } = require('node:child_process')
      process.stdin.once('data', () => {
        globalThis.held = Buffer.alloc(${megabytes << 20}, 1)
        spawn(process.execPath, ['-e', ${JSON.stringify(child)}]).stdout.pipe(process.stdout)
      })
      console.log('ready')
    `
    const parent = spawn(process.execPath, ['-e', script], { detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
    const pid = parent.pid as number
    try {
      await once(parent.stdout, 'data')
      const before = memoryBytes(pid)
      parent.stdin.write('go')
      await once(parent.stdout, 'data')
      expect(memoryBytes(pid) - before).toBeGreaterThan((2 * megabytes) << 20)
    } finally {
      process.kill(-pid, 'SIGKILL')
    }
    await expect.poll(() => memoryBytes(pid)).toBe(0)
  })
})

describe('the limit of open files', () => {
  it('is the soft one', () => {
    expect(parseLimits('Max open files            1024                 524288               files     \n')).toBe(1024)
    expect(parseLimits('Max open files            unlimited            unlimited            files     \n')).toBe(
      Infinity,
    )
    expect(() => parseLimits('')).toThrow('not what /proc/PID/limits holds')
  })

  it('is told of this process', (context) => {
    context.skip(!onLinux, WHY)
    expect(openFilesLimit()).toBeGreaterThan(0)
  })
})
