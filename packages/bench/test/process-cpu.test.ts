import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { cpuMicroseconds, livingProcessesOf, parseStat } from '../dist/process-cpu.js'

const stat = (name: string): string =>
  `4242 (${name}) S 17 4242 99 0 -1 4194304 2345 10 0 0 31 12 5 2 20 0 11 0 4483716 1201 15533 18446744073709551615 1 1 0`

const onLinux = process.platform === 'linux'
const WHY = 'there is no /proc here'

describe('/proc/PID/stat', () => {
  it('gives the parent, the session and the time of the threads and of the children', () => {
    expect(parseStat(stat('node'))).toEqual({ pid: 4242, isAlive: true, parent: 17, session: 99, ticks: 50 })
  })

  it('tells a zombie from a process', () => {
    expect(parseStat(stat('node').replace(') S', ') Z')).isAlive).toBe(false)
  })

  it.each(['cs: worker 2', 'a) S 1 (b', ')', '', 'x)'])('may hold the name %j', (name) => {
    expect(parseStat(stat(name))).toEqual(parseStat(stat('node')))
  })
})

describe('the CPU time of a process', () => {
  it('grows with what it computes', (context) => {
    context.skip(!onLinux, WHY)
    const before = cpuMicroseconds(process.pid)
    const end = process.cpuUsage().user + 200_000
    while (process.cpuUsage().user < end);
    expect(cpuMicroseconds(process.pid) - before).toBeGreaterThan(100_000)
  })

  it('includes children that live and children that have ended', async (context) => {
    context.skip(!onLinux, WHY)
    const busy = 'while (process.cpuUsage().user < 200_000);'
    const waiting = `${busy} console.log('done'); setInterval(() => {}, 1e6)`
    const script = `
      const { spawnSync, spawn } = require('node:child_process')
      spawnSync(process.execPath, ['-e', ${JSON.stringify(busy)}])
      spawn(process.execPath, ['-e', ${JSON.stringify(waiting)}]).stdout.pipe(process.stdout)
    `
    const child = spawn(process.execPath, ['-e', script], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
    const pid = child.pid as number
    try {
      await once(child.stdout, 'data')
      expect(livingProcessesOf(pid)).toHaveLength(2)
      expect(cpuMicroseconds(pid)).toBeGreaterThan(350_000)
    } finally {
      process.kill(-pid, 'SIGKILL')
    }
    await expect.poll(() => livingProcessesOf(pid)).toEqual([])
  })

  it('includes a child whose parent has ended', async (context) => {
    context.skip(!onLinux, WHY)
    const grandchild = "console.log('orphan'); setInterval(() => {}, 1e6)"
    const script = `
      const options = { stdio: ['ignore', 'inherit', 'ignore'] }
      require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(grandchild)}], options).unref()
    `
    const child = spawn(process.execPath, ['-e', script], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
    const pid = child.pid as number
    try {
      await Promise.all([once(child.stdout, 'data'), once(child, 'exit')])
      expect(livingProcessesOf(pid)).toMatchObject([{ session: pid }])
    } finally {
      process.kill(-pid, 'SIGKILL')
    }
  })
})
