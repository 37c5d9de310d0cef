/**
 * Servers in processes of their own: started, awaited, stopped, and none of their processes left behind.
 *
 * Each is the leader of a session, so that it can be found with all it has started, and so that Ctrl-C reaches the bench
 * alone, which then stops it in order.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { livingProcessesOf, type ProcessStat } from './process-cpu.js'

const START_MS = 15_000
const STOP_MS = 10_000
/** In which the other processes of a server must end, counted from the end of the first. */
const LAST_MS = 1000

const CLI = fileURLToPath(new URL('../bin/cs.js', import.meta.resolve('@cs/cli')))
const APP = fileURLToPath(import.meta.resolve('./app.js'))
const NODE_HTTP = fileURLToPath(import.meta.resolve('./node-http.js'))

/** A server that can be started. */
export interface ServerSpec {
  readonly name: string
  /** The script for node and its arguments, with flags of node before it. */
  readonly command: readonly string[]
  /** How many connections it can hold at most, and why; without it there is no such bound. */
  readonly bound?: { readonly connections: number; readonly reason: string }
  /** The scenarios in which it is measured. Default: all. */
  readonly scenarios?: readonly string[]
}

/** A model, as `cs list --json` tells of it. */
export interface ModelEntry {
  readonly name: string
  /** Whether it runs on this machine. */
  readonly runs: boolean
  /** Why it does not. */
  readonly reason?: string
  readonly options: readonly { readonly name: string; readonly choices?: readonly string[] }[]
}

/** A server that accepts connections. */
export interface RunningServer {
  readonly name: string
  readonly url: string
  readonly pid: number
  /** Sends SIGTERM and resolves once it has ended; @throws when it does not end, or leaves a process behind. */
  stop(): Promise<void>
}

/** The server that the models are compared with. */
export const nodeHttpServer: ServerSpec = { name: 'node:http', command: [NODE_HTTP] }

/** A model, as `cs serve` runs it, with these of its options. */
export function modelServer(model: string, settings: Readonly<Record<string, string>> = {}): ServerSpec {
  const set = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`])
  return { name: model, command: [CLI, 'serve', model, '0', '--app', APP, ...set] }
}

/** The models there are. */
export async function listModels(): Promise<readonly ModelEntry[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'list', '--json'])
  return JSON.parse(stdout) as readonly ModelEntry[]
}

/** Starts a server; resolves when it accepts connections and answers as the others do. */
export async function startServer({ name, command }: ServerSpec, signal: AbortSignal): Promise<RunningServer> {
  signal.throwIfAborted()
  const child = spawn(process.execPath, command, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const release = killWithThisProcess(child)
  const stop = (): Promise<void> => stopServer(name, child).finally(release)
  try {
    const url = await readUrl(name, child, signal)
    await checkAnswer(name, url, signal)
    return { name, url, pid: child.pid as number, stop }
  } catch (error) {
    await stop().catch(() => {}) // the first error says more
    throw error
  }
}

function readUrl(name: string, child: ChildProcess, signal: AbortSignal): Promise<string> {
  let output = ''
  const { promise, resolve, reject } = withResolvers<string>()
  const read = (chunk: Buffer): void => {
    output += chunk
    const url = /^listening on (\S+)/m.exec(output)?.[1]
    if (url) resolve(url)
  }
  const fail = (why: string): void => reject(new Error(`${name} ${why}\n${output}`.trimEnd()))
  const timer = setTimeout(() => fail(`did not start within ${START_MS / 1000} s`), START_MS)
  child.stdout?.on('data', read)
  child.stderr?.on('data', read)
  child.once('error', reject)
  child.once('close', (code) => fail(`did not start: exit code ${code}`))
  signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return promise.finally(() => clearTimeout(timer))
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((...functions) => ([resolve, reject] = functions))
  return { promise, resolve, reject }
}

async function checkAnswer(name: string, url: string, signal: AbortSignal): Promise<void> {
  const response = await fetch(url, { signal, headers: { connection: 'close' } })
  const body = await response.text()
  if (response.status !== 200 || body !== 'Hello, World!') throw new Error(`${name} answers ${response.status} ${body}`)
}

async function stopServer(name: string, child: ChildProcess): Promise<void> {
  const { pid } = child
  if (pid === undefined) return
  const isStopped = await endsAfter(child, 'SIGTERM')
  const left = isStopped ? await leftBehind(pid) : []
  killSession(pid)
  if (!isStopped) await endsAfter(child, 'SIGKILL')
  if (!isStopped) throw new Error(`${name} did not stop within ${STOP_MS / 1000} s`)
  if (left.length > 0) throw new Error(`${name} left processes behind: ${left.map((each) => each.pid).join(', ')}`)
}

/** The processes of a server that has ended itself, unless they end at once too. */
async function leftBehind(pid: number): Promise<readonly ProcessStat[]> {
  const end = Date.now() + LAST_MS
  while (livingProcessesOf(pid).length > 0 && Date.now() < end) await sleep(10)
  return livingProcessesOf(pid)
}

async function endsAfter(child: ChildProcess, signal: NodeJS.Signals): Promise<boolean> {
  if (child.exitCode !== null || child.signalCode !== null) return true
  const exit = once(child, 'exit', { signal: AbortSignal.timeout(STOP_MS) })
  child.kill(signal)
  return exit.then(
    () => true,
    () => false,
  )
}

/** Ends what is left of a server at once. Its session outlives its leader, and its number with it. */
function killSession(pid: number): void {
  for (const each of livingProcessesOf(pid)) {
    try {
      process.kill(each.pid, 'SIGKILL')
    } catch {} // it has ended since
  }
}

function killWithThisProcess({ pid }: ChildProcess): () => void {
  const kill = (): void => (pid === undefined ? undefined : killSession(pid))
  process.once('exit', kill)
  return () => process.off('exit', kill)
}
