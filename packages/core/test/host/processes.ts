import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** The models, where they are built: core must not depend on the packages that have them. */
export const MODELS = {
  epoll: new URL('../../../io-multiplexing/dist/epoll.js', import.meta.url).href,
  'multi-thread': new URL('../../../thread-models/dist/multi-thread.js', import.meta.url).href,
  'thread-pool': new URL('../../../thread-models/dist/thread-pool.js', import.meta.url).href,
  'single-process': new URL('../../../process-models/dist/single-process.js', import.meta.url).href,
} as const

export const appOf = (name: string): string => new URL(`./fixtures/${name}.mjs`, import.meta.url).href

export interface Program {
  readonly child: ChildProcess
  /** The next line it prints, as JSON. */
  line(): Promise<unknown>
  /** How it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null; readonly errors: string }>
}

/** Runs a module of its own process; killed when the test is over, if it is still there. */
export function program(source: string): Program {
  const directory = mkdtempSync(join(tmpdir(), 'cs-host-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  writeFileSync(join(directory, 'main.mjs'), source)
  return programOf([join(directory, 'main.mjs')])
}

/** Runs node with arguments. */
export function programOf(args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const child = spawn(process.execPath, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]()
  const ended = new Promise<{ code: number | null; signal: string | null; errors: string }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, errors }))
  })
  const line = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`it ended: ${errors}`)
    return JSON.parse(value) as unknown
  }
  return { child, line, ended }
}

/** The processes whose parent, or once the parent is gone whose command line, is given. */
export function childrenOf(pid: number): number[] {
  return processes().filter((each) => parentOf(each) === pid)
}

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    return -1
  }
}

export function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

/** How many there are once none has come or gone for 300 ms. */
export async function descriptorsAtRest(): Promise<number> {
  let count = descriptors()
  for (let looks = 0; looks < 30; looks++) {
    await setTimeout(10)
    if (descriptors() !== count) looks = 0
    count = descriptors()
  }
  return count
}

/** Sends a request and resolves with what comes until the connection closes, or, if it is to be left open, at once. */
export function ask(port: number, path: string, more = 'Connection: close\r\n'): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`))
    socket.on('data', (bytes) => (text += bytes.toString('latin1')))
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
  })
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(1)
}
