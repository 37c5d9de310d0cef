import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it, onTestFinished } from 'vitest'
import { holdingsOf } from '../dist/soak.js'

/** A process that, asked by a line, opens a descriptor and starts a thread. */
const GREEDY = `
  const { openSync } = require('node:fs')
  const { Worker } = require('node:worker_threads')
  console.log('ready')
  process.stdin.once('data', () => {
    openSync('/dev/null')
    new Worker('setInterval(() => {}, 1000)', { eval: true }).once('online', () => console.log('done'))
  })
`

it('counts the processes, threads and descriptors that a server holds', async () => {
  const child = spawn(process.execPath, ['-e', GREEDY], { detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const before = holdingsOf(child.pid!)
  child.stdin.write('more\n')
  await once(child.stdout, 'data')
  const after = holdingsOf(child.pid!)
  expect(before.processes).toBe(1)
  expect(after.processes).toBe(1)
  expect(after.threads).toBe(before.threads + 1)
  expect(after.descriptors).toBeGreaterThan(before.descriptors)
})
