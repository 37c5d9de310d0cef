/**
 * A server under test: `cs serve` out of process, in a session of its own, so that whatever it starts can be found and ended
 * by pid, and nothing else is touched.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { NetConnectOpts } from 'node:net'
import { fileURLToPath } from 'node:url'
import { eventually, within } from './deadline.js'
import { cpuSecondsOf, fdCountOf, isHeld, listenersOn, sessionOf, threadsOf } from './proc.js'

const CLI = fileURLToPath(new URL('../../packages/cli/bin/cs.js', import.meta.url))
const APPS = new URL('../apps/', import.meta.url)

export interface ServerOptions {
  /** A file of tests/apps. Default: app.mjs. */
  readonly app?: string
  /** Options of the model, as `--set name=value`. */
  readonly set?: Readonly<Record<string, string | number>>
  /** More words of the command line. */
  readonly args?: readonly string[]
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
  /** The most descriptors the server may have. */
  readonly ulimit?: number
}

/** How a command ended. */
export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** What a server holds, over all its processes. */
export interface Holdings {
  readonly processes: number
  readonly threads: number
  readonly fds: number
}

/** Starts `cs serve` and waits for the line that says it listens. */
export async function startServer(model: string, options: ServerOptions = {}): Promise<TestServer> {
  const command = new Command(serveWords(model, options), options)
  const ready = eventually(
    'the server says that it listens',
    () => command.ended ?? /^listening on .*\n/m.exec(command.stdout),
  )
  try {
    const found = await ready
    if ('stdout' in found)
      throw new Error(`the server ended with code ${found.code} instead of starting:\n${found.stderr}`)
    return new TestServer(command, found[0])
  } catch (error) {
    command.kill()
    throw error
  }
}

/** Runs a `cs serve` that is expected not to start; nothing of it may be left. */
export async function failToStart(model: string, options: ServerOptions = {}): Promise<Outcome> {
  return runCs(serveWords(model, options), options)
}

/** Runs a `cs` command to its end; nothing of it may be left. */
export async function runCs(words: readonly string[], options: ServerOptions = {}): Promise<Outcome> {
  const command = new Command(words, options)
  try {
    const outcome = await within(`cs ${words.join(' ')} ends`, command.exit)
    await command.expectGone()
    return outcome
  } finally {
    command.kill()
  }
}

function serveWords(model: string, { app = 'app.mjs', set = {}, args = [], port = 0 }: ServerOptions): string[] {
  const settings = Object.entries(set).flatMap(([name, value]) => ['--set', `${name}=${value}`])
  return ['serve', model, String(port), '--app', fileURLToPath(new URL(app, APPS)), ...settings, ...args]
}

const commands = new Set<Command>()
process.on('exit', () => {
  for (const command of commands) command.kill()
})

/** A running command, the leader of its session. */
class Command {
  readonly pid: number
  readonly exit: Promise<Outcome>
  stdout = ''
  stderr = ''
  ended: Outcome | undefined
  readonly #child: ChildProcess

  constructor(words: readonly string[], { env = {}, ulimit }: ServerOptions) {
    const line = [process.execPath, CLI, ...words]
    const [file, ...args] =
      ulimit === undefined ? line : ['bash', '-c', `ulimit -n ${ulimit} && exec "$@"`, 'bash', ...line]
    const { PORT: _port, HOST: _host, ...inherited } = process.env
    this.#child = spawn(file, args, {
      detached: true, // a session of its own
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inherited, NODE_OPTIONS: '', NODE_ENV: 'production', ...env },
    })
    this.pid = this.#child.pid!
    commands.add(this)
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.exit = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        this.ended = { code, signal, stdout: this.stdout, stderr: this.stderr }
        resolve(this.ended)
      })
    })
  }

  /** The processes of the session that are alive: a zombie only waits for whoever inherited it. */
  alive(): number[] {
    return sessionOf(this.pid)
      .filter(({ state }) => state !== 'Z')
      .map(({ pid }) => pid)
  }

  async expectGone(): Promise<void> {
    await eventually('every process of the server is gone', () => this.alive().length === 0, 3000).catch((error) => {
      throw new Error(`${error.message}; left: ${this.alive().join(', ')}`)
    })
    commands.delete(this)
  }

  /** Ends what is left, by pid. */
  kill(): void {
    for (const pid of this.alive()) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // it ended by itself
      }
    }
    commands.delete(this)
  }
}

export class TestServer {
  /** `http://host:port`, or `unix:path`. */
  readonly url: string
  /** 0 where it listens on a path. */
  readonly port: number
  readonly path: string | undefined
  /** The line that said that it listens. */
  readonly line: string
  readonly #command: Command
  readonly #listeners: readonly string[]
  #crashed = false
  #signalled = false

  constructor(command: Command, line: string) {
    this.#command = command
    this.line = line.trimEnd()
    this.url = /^listening on (\S+) /.exec(line)![1]
    this.path = this.url.startsWith('unix:') ? this.url.slice(5) : undefined
    this.port = this.path === undefined ? Number(new URL(this.url).port) : 0
    this.#listeners = this.path === undefined ? listenersOn(this.port) : []
  }

  get pid(): number {
    return this.#command.pid
  }

  get stdout(): string {
    return this.#command.stdout
  }

  get stderr(): string {
    return this.#command.stderr
  }

  get ended(): boolean {
    return this.#command.ended !== undefined
  }

  /** How the server ended, once it has. */
  get exit(): Promise<Outcome> {
    return this.#command.exit
  }

  /** Where clients reach it. */
  get address(): NetConnectOpts {
    if (this.path !== undefined) return { path: this.path }
    const host = new URL(this.url).hostname.replace(/^\[(.*)\]$/, '$1')
    return { port: this.port, host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host }
  }

  get isListening(): boolean {
    return listenersOn(this.port).some((inode) => this.#listeners.includes(inode))
  }

  /** Tells whether the server has accepted a client's connection and not closed it yet. */
  holds({ port }: { readonly port: number }): boolean {
    return isHeld(this.port, port)
  }

  /** The processes of the server. */
  get pids(): number[] {
    return this.#command.alive()
  }

  get cpuSeconds(): number {
    return this.pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
  }

  get holdings(): Holdings {
    const { pids } = this
    const sum = (count: (pid: number) => number): number => pids.reduce((total, pid) => total + count(pid), 0)
    return { processes: pids.length, threads: sum((pid) => threadsOf(pid).length), fds: sum(fdCountOf) }
  }

  signal(signal: NodeJS.Signals): void {
    this.#signalled = true
    process.kill(this.pid, signal)
  }

  /** Sends a signal; see {@link finished}. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> {
    this.signal(signal)
    return this.finished()
  }

  /** Waits for the end, and checks that nothing is left. Returns the exit code, or the signal that killed the server. */
  async finished(): Promise<number | NodeJS.Signals> {
    const { code, signal } = await within('the server ends', this.exit).catch((error) => {
      throw new Error(`${error.message}; on its standard error: ${JSON.stringify(this.stderr)}`)
    })
    await this.#expectNothingLeft()
    return code ?? signal!
  }

  /** For the end of a test, passed or failed: stops the server if it runs; it must go in order and leave nothing. */
  async finish(): Promise<void> {
    try {
      if (this.#signalled || this.ended) await this.finished()
      else if ((await this.stop()) !== 0) throw new Error(`the server ended badly:\n${this.stderr}`)
    } finally {
      this.#command.kill()
    }
  }

  /** Kills the server and all that belongs to it, as a crash of the machine would. */
  async crash(): Promise<void> {
    this.#command.kill()
    await within('the server is dead', this.exit)
    this.#crashed = true
  }

  async #expectNothingLeft(): Promise<void> {
    await this.#command.expectGone()
    if (this.isListening) throw new Error(`port ${this.port} is still listened on`)
    if (this.path !== undefined && !this.#crashed && existsSync(this.path))
      throw new Error(`the socket file ${this.path} is left`)
  }
}
