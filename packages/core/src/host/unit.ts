/** The units of a server: one thread, one child process, or a part in the calling thread, each running one role once. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { FetchApp } from '../connection/index.js'
import { Binding } from './binding.js'
import { failure, type ProcessBoot, runUnit, type ThreadBoot, type UnitBoot, type UnitMessage } from './unit-run.js'

/** What the supervisor hears of a unit. `ended` comes once, last; without a reason where the role ran to its end. */
export interface UnitEvents {
  message(message: UnitMessage): void
  ended(reason: string | undefined): void
}

export interface Unit {
  /** The end of what it wrote to standard error while it started. */
  readonly output: string
  /** Ends its wait in accept(2), where it can be done so; it may not be waiting yet: call again. */
  wake(): void
  /** Ends it, whatever it does; `ended` follows. */
  kill(): void
  /** Ends with this process, or is made ready to: nothing that runs on the event loop does any more. Blocks for some ms. */
  abandon(): void
}

/** Starts a unit where its role says. */
export function startUnit(
  boot: UnitBoot,
  place: 'thread' | 'process' | 'caller',
  flags: readonly string[],
  app: FetchApp | undefined,
  events: UnitEvents,
): Unit {
  if (place === 'thread') return new ThreadUnit(boot, events)
  if (place === 'process') return new ProcessUnit(boot, flags, events)
  return new CallerUnit(boot, app!, events)
}

/** Remembers how a unit ended until it is gone: the last word counts. */
class Ending {
  finished = false
  failed: string | undefined
  #isGone = false
  readonly #events: UnitEvents

  constructor(events: UnitEvents) {
    this.#events = events
  }

  hear(message: UnitMessage): void {
    if (message.type === 'finished') this.finished = true
    if (message.type === 'failed') this.failed = message.stack
    this.#events.message(message)
  }

  gone(how: string): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#events.ended(this.finished ? undefined : (this.failed ?? how))
  }
}

/** Characters of a unit's output that are kept. */
const TAIL = 2000

/** Passes on what a unit writes to standard error, and remembers the end of it. */
class Output {
  text = ''

  follow(stream: Readable): void {
    stream.setEncoding('utf8').on('data', (text: string) => {
      process.stderr.write(text)
      this.text = (this.text + text).slice(-TAIL)
    })
  }
}

/**
 * Milliseconds that a thread gets to return when the stop is forced; more while it starts, since it looks at the stop between two
 * steps, and Node keeps the files open that a thread was importing when it was terminated.
 */
const GRACE_MS = 250
const START_GRACE_MS = 2000

class ThreadUnit implements Unit {
  readonly #worker: Worker
  readonly #output = new Output()
  readonly #binding = new Binding()
  #isStarting = true
  #execution: NodeJS.Timeout | undefined

  constructor(boot: UnitBoot, events: UnitEvents) {
    const ending = new Ending(events)
    const main = new URL('./thread-main.js', import.meta.url)
    const given = flags()
    const execArgv = given.length === process.execArgv.length ? {} : { execArgv: given } // inherited as it is, if it can be
    this.#worker = new Worker(main, {
      workerData: { boot, binding: this.#binding.buffer } satisfies ThreadBoot,
      name: boot.name,
      stderr: true,
      ...execArgv,
    })
    this.#output.follow(this.#worker.stderr)
    this.#worker.on('message', (message: UnitMessage) => {
      if (message.type === 'ready') this.#isStarting = false
      ending.hear(message)
    })
    this.#worker.on('error', (error) => {
      ending.failed = error instanceof Error ? (error.stack ?? error.message) : String(error)
    })
    this.#worker.on('exit', (code) => {
      clearTimeout(this.#execution)
      ending.gone(`the thread ended with code ${code}`)
    })
  }

  get output(): string {
    return this.#output.text
  }

  wake(): void {} // by its eventfd, or by a connection

  /** A thread that was woken sees that the stop is forced, and returns; one that does not in time is terminated. */
  kill(): void {
    this.#execution ??= setTimeout(() => this.#terminate(), this.#isStarting ? START_GRACE_MS : GRACE_MS)
  }

  #terminate(): void {
    if (this.#binding.forestall()) this.#worker.terminate()
    else this.#execution = setTimeout(() => this.#terminate(), GRACE_MS)
  }

  /** Node terminates the threads when the process exits. */
  abandon(): void {
    this.#binding.outlast()
  }
}

class ProcessUnit implements Unit {
  readonly #child: ChildProcess
  readonly #output = new Output()

  constructor(boot: UnitBoot, roleFlags: readonly string[], events: UnitEvents) {
    const ending = new Ending(events)
    const main = fileURLToPath(new URL('./process-main.js', import.meta.url))
    this.#child = spawn(process.execPath, [...flags(), ...roleFlags, main], {
      stdio: ['pipe', 'inherit', 'pipe', 'pipe', boot.listenerFd, boot.control.fd!, boot.stopFd, 2],
    })
    this.#child.on('error', (error) => {
      ending.failed = `the process cannot be started: ${error.message}`
      if (this.#child.pid === undefined) ending.gone('')
    })
    this.#child.on('close', (code, signal) => {
      ending.gone(signal === null ? `the process ended with code ${code}` : `the process was killed by ${signal}`)
    })
    if (this.#child.pid === undefined) return // 'error' will tell why; out of descriptors there are not even streams
    const { stdin, stderr, stdio } = this.#child as { stdin: Writable; stderr: Readable; stdio: readonly unknown[] }
    this.#output.follow(stderr)
    createInterface(stdio[MESSAGE_FD] as Readable).on('line', (line) => ending.hear(JSON.parse(line) as UnitMessage))
    stdin.on('error', () => {}) // a child that died before it read is told of by 'close'
    const control = { ...boot.control, fd: CONTROL_FD }
    stdin.end(JSON.stringify({ host: process.pid, boot: { ...boot, ...HANDED, control } } satisfies ProcessBoot))
  }

  get output(): string {
    return this.#output.text
  }

  wake(): void {
    this.#child.kill('SIGURG')
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  abandon(): void {
    this.kill()
  }
}

/** The flags that node was started with, without those that say what to run: a unit would run it again, and again. */
function flags(): string[] {
  const kept: string[] = []
  const given = process.execArgv[Symbol.iterator]()
  for (const flag of given) {
    if (/^(?:-e|-p|-pe|--eval|--print|--input-type)$/.test(flag)) given.next()
    else if (!/^--(?:eval|print|input-type)=/.test(flag)) kept.push(flag)
  }
  return kept
}

/** The descriptors of a child: what the host passes, by position in `stdio`. */
const MESSAGE_FD = 3
const LISTENER_FD = 4
const CONTROL_FD = 5
const STOP_FD = 6
const HANDED = {
  listenerFd: LISTENER_FD,
  stopFd: STOP_FD,
  ownsDescriptors: true,
  shared: undefined,
  table: undefined,
}

class CallerUnit implements Unit {
  readonly output: string = ''

  constructor(boot: UnitBoot, app: FetchApp, events: UnitEvents) {
    const ending = new Ending(events)
    // In a turn of its own: whoever called serve() gets its server before the loop first blocks.
    setImmediate(() => {
      runUnit(boot, { tell: (message) => ending.hear(message), app })
        .catch((error) => ending.hear(failure(error)))
        .finally(() => ending.gone('the loop ended'))
    })
  }

  wake(): void {} // by its eventfd

  /** The calling thread is its owner's: the role sees that the stop is forced, and returns. */
  kill(): void {}

  abandon(): void {}
}
