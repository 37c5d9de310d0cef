/** strace(1) attached to a running server: the system calls it makes, seen from outside. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, type TestContext } from 'vitest'
import { eventually, within } from './deadline.js'
import { threadsOf } from './proc.js'

const found = spawnSync('strace', ['-V']).status === 0

/** A call as strace writes it. */
export interface Call {
  readonly tid: number
  readonly name: string
  /** Arguments and result. */
  readonly text: string
}

/** Skips a test where there is no strace, but not on CI, where it must be. */
export function needsStrace(context: TestContext): void {
  if (found) return
  if (process.env.CI === 'true') throw new Error('strace is missing, and CI=true makes it mandatory')
  context.skip('strace is not installed')
}

/** Watches the given calls of a process and all its threads until {@link Trace.end}. */
export async function trace(pid: number, calls: readonly string[]): Promise<Trace> {
  const folder = mkdtempSync(join(tmpdir(), 'cs-strace-'))
  const file = join(folder, 'calls')
  const args = ['-f', '-v', '-s', '16', '-e', `trace=${calls.join(',')}`, '-e', 'signal=none', '-o', file]
  const child = spawn('strace', [...args, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
  const trace = new Trace(child, file)
  onTestFinished(async () => {
    await trace.end()
    rmSync(folder, { recursive: true, force: true })
  })
  await eventually('strace is attached to every thread', () => trace.attachedTo(threadsOf(pid).map(({ tid }) => tid)))
  return trace
}

export class Trace {
  readonly #child: ChildProcess
  readonly #file: string
  readonly #exit: Promise<void>
  #stderr = ''

  constructor(child: ChildProcess, file: string) {
    this.#child = child
    this.#file = file
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    this.#exit = new Promise((resolve) => child.on('close', () => resolve()))
  }

  attachedTo(tids: readonly number[]): boolean {
    if (this.#child.exitCode !== null) throw new Error(`strace ended: ${this.#stderr}`)
    return this.#stderr.includes('attached') && tids.every((tid) => isTraced(tid))
  }

  /** Detaches, and gives the calls that have returned, in the order in which they did. */
  async end(): Promise<Call[]> {
    if (this.#child.exitCode === null) this.#child.kill('SIGINT')
    await within('strace ends', this.#exit)
    return parse(readFileSync(this.#file, 'utf8'))
  }
}

function isTraced(tid: number): boolean {
  try {
    return !/^TracerPid:\t0$/m.test(readFileSync(`/proc/${tid}/status`, 'utf8'))
  } catch {
    return true // it has ended
  }
}

/** Joins the two halves of calls that were interrupted by another thread's. */
function parse(text: string): Call[] {
  const halves = new Map<number, string>()
  const calls: Call[] = []
  for (const line of text.split('\n')) {
    const [, tid, rest] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (tid === undefined) continue
    const unfinished = /^(.*) <unfinished \.\.\.>$/.exec(rest)
    if (unfinished !== null) {
      halves.set(Number(tid), unfinished[1])
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    const whole = resumed === null ? rest : `${halves.get(Number(tid)) ?? ''}${resumed[1]}`
    const name = /^(\w+)\(/.exec(whole)?.[1]
    const isBegunAnew = whole.includes('ERESTARTNOINTR') // by the kernel, after a signal; the program does not see it
    if (name !== undefined && !isBegunAnew) calls.push({ tid: Number(tid), name, text: whole })
  }
  return calls
}
