/**
 * An event loop: one thread, one wait for everything. One turn of it:
 *
 *   before ─▶ wait ─▶ after ─▶ I/O ─▶ timers ─▶ signals ─▶ tasks ─▶ Node's own loop (if it has something to do) ─▶ again
 *
 *   before, after   hooks, in the order in which they were added
 *   wait            the demultiplexer, until a descriptor is ready, a timer is due, or another thread wakes the loop
 *   I/O             the callbacks of descriptors that are ready, in the order in which the demultiplexer tells them
 *   timers          those due when the wait ended, the earliest first
 *   signals         those that came, in that order
 *   tasks           those of this thread that were there when the phase began, then those of other threads, in their order
 *   Node's loop     promises, nextTick, Node's timers, files, sockets, fetch: whatever callbacks have awaited
 *
 * What a callback adds (a timer due now, a task) runs in the next turn, so no phase starves another; nor does a crowd: of
 * timers and of tasks at most `budget` run in a turn, of descriptors as many as one wait reports. What is left makes the next
 * wait a look. Every method but those of the mailbox is for the loop's own thread.
 */

import { type Demultiplexer, type DemultiplexerSettings, openDemultiplexer, WOKEN } from '../demux/index.js'
import { gettid } from '../posix/index.js'
import type { Admitter } from './door.js'
import { type Ledger, NestedLibuv } from './libuv.js'
import { Mailbox } from './mailbox.js'
import { type Timer, TimerHeap } from './timer-heap.js'

export interface EventLoopSettings extends DemultiplexerSettings {
  /** Timers, and tasks, that run in one turn at most. Default: 1024. */
  readonly budget?: number
  /** Bytes of tasks from other threads that may wait. Default: 1 MiB. */
  readonly mailbox?: number
  /** Is told what a callback throws, and the loop goes on. Default: the loop ends, and `run` rejects with it. */
  readonly onError?: (error: unknown) => void
  /** What callbacks leave to Node's loop; a Service is one. Default: one of its own. */
  readonly ledger?: Ledger
}

/** What a loop has done. */
export interface EventLoopStatistics {
  readonly turns: number
  /** Callbacks run for descriptors, timers, signals, tasks. */
  readonly io: number
  readonly timers: number
  readonly signals: number
  readonly tasks: number
  /** Timers that are set, and descriptors that are watched. */
  readonly waitingTimers: number
  readonly watched: number
}

type Callback = () => void

const DEFAULT_BUDGET = 1024
const DEFAULT_MAILBOX = 1 << 20

/** Names of tasks that are the loop's own. */
const STOP = '\0stop'
const SIGNAL = '\0signal'

export class EventLoop {
  /** The loop that runs on the calling thread, for an app's own timers and descriptors; undefined where none does. */
  static current: EventLoop | undefined

  readonly demux: Demultiplexer
  /** How other threads reach this loop; may travel to them (see Shareable). */
  readonly mailbox: Mailbox
  readonly #tid = gettid()
  readonly #libuv: NestedLibuv
  readonly #timers = new TimerHeap()
  readonly #watchers = new Map<number, (ready: number) => void>()
  readonly #handlers = new Map<string, (...args: never[]) => void>()
  readonly #signalCallbacks = new Map<NodeJS.Signals, Set<Callback>>()
  readonly #before: Callback[] = []
  readonly #after: Callback[] = []
  readonly #budget: number
  readonly #onError: ((error: unknown) => void) | undefined
  readonly #counts = { turns: 0, io: 0, timers: 0, signals: 0, tasks: 0 }
  readonly #ledger: Ledger
  #tasks: Callback[] = []
  /** True where other threads may have posted tasks that have not run. */
  #hasMail = false
  #signals: NodeJS.Signals[] = []
  #state: 'new' | 'running' | 'stopping' | 'closed' = 'new'
  #failure: { readonly error: unknown } | undefined

  /** @throws RangeError for a budget below 1, UnsupportedError where the system lacks the call, PosixError */
  constructor(settings: EventLoopSettings = {}) {
    const { budget = DEFAULT_BUDGET, mailbox = DEFAULT_MAILBOX } = settings
    if (!Number.isInteger(budget) || budget < 1) throw new RangeError(`a budget is a whole number from 1 on: ${budget}`)
    this.#budget = budget
    this.#onError = settings.onError
    this.#ledger = settings.ledger ?? { appRan: false, pending: 0 }
    this.demux = openDemultiplexer(settings)
    this.mailbox = Mailbox.create(mailbox, this.demux.wakeup)
    this.#libuv = new NestedLibuv(this.demux)
  }

  // descriptors -------------------------------------------------------------------------------------------------------

  /** Calls back whenever the descriptor is ready for what is of interest (READABLE, WRITABLE), with what it is ready for. */
  watch(fd: number, interest: number, callback: (ready: number) => void): void {
    this.demux.add(fd, interest)
    this.#watchers.set(fd, callback)
  }

  /** Changes what a watched descriptor is watched for. */
  change(fd: number, interest: number): void {
    this.demux.modify(fd, interest)
  }

  /** Watches a descriptor no more; must come before it is closed. Nothing of it is called back any more, not even in this turn. */
  unwatch(fd: number): void {
    if (this.#watchers.delete(fd)) this.demux.remove(fd)
  }

  /** Forgets a watched descriptor that has been closed: cheaper than {@link unwatch}; before the number is used again. */
  closed(fd: number): void {
    if (this.#watchers.delete(fd)) this.demux.closed(fd)
  }

  /** Lets whoever knows demultiplexers watch descriptors here; `ready` is called back with each that is ready. */
  admitter(ready: (fd: number) => void): Admitter {
    const { name, trigger, limit } = this.demux
    return {
      name,
      trigger,
      limit,
      add: (fd, interest) => this.watch(fd, interest, () => ready(fd)),
      modify: (fd, interest) => this.change(fd, interest),
      remove: (fd) => this.unwatch(fd),
    }
  }

  // timers ------------------------------------------------------------------------------------------------------------

  /**
   * Calls back once in `ms` milliseconds (0 or more, fractions count), or with `every` above 0 from then on again and again;
   * beats that a busy loop missed are not made up for. The clock is monotonic. @throws RangeError
   */
  setTimer(ms: number, callback: Callback, every = 0): Timer {
    if (!(ms >= 0 && every >= 0)) throw new RangeError(`a timer takes times from 0 on, in ms: ${ms}, ${every}`)
    return this.#timers.set(performance.now() + ms, every, callback)
  }

  /** Cancels a timer; false where it ran already or was cancelled. */
  cancelTimer(timer: Timer): boolean {
    return this.#timers.cancel(timer)
  }

  // tasks and signals -------------------------------------------------------------------------------------------------

  /** Has a callback run in the phase for tasks of this turn, or, from within that phase, of the next. */
  post(callback: Callback): void {
    this.#tasks.push(callback)
  }

  /** Sets what runs when another thread posts a task of that name to the mailbox. */
  handle(name: string, handler: (...args: never[]) => void): void {
    this.#handlers.set(name, handler)
  }

  /**
   * Calls back when the process gets a signal. Node takes signals on its main thread alone: in a worker the callback runs for
   * those that the main thread passes on, see relaySignals. Returns what takes the callback away again.
   */
  onSignal(name: NodeJS.Signals, callback: Callback): Callback {
    const callbacks = this.#signalCallbacks.get(name) ?? new Set()
    if (callbacks.size === 0) process.on(name, this.#onSignal) // does nothing in a worker
    this.#signalCallbacks.set(name, callbacks.add(callback))
    return () => {
      callbacks.delete(callback)
      if (callbacks.size === 0) process.off(name, this.#onSignal)
    }
  }

  // hooks -------------------------------------------------------------------------------------------------------------

  /** Adds a hook that runs before each wait. What it awaits may come late: Node's loop owes hooks nothing. */
  beforeWait(hook: Callback): void {
    this.#before.push(hook)
  }

  /** Adds a hook that runs after each wait, before anything else. */
  afterWait(hook: Callback): void {
    this.#after.push(hook)
  }

  // the loop ----------------------------------------------------------------------------------------------------------

  /** Runs until {@link stop}; then gives back what the loop holds. Once. @throws what a callback threw, without `onError` */
  async run(): Promise<void> {
    if (this.#state !== 'new') throw new Error(`a loop runs once, and this one is ${this.#state}`)
    this.#state = 'running'
    EventLoop.current = this
    try {
      while (this.#state === 'running') await this.#turn()
    } finally {
      EventLoop.current = undefined
      this.close()
    }
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Ends the loop after this turn; from another thread `stopLoop(mailbox)` does it. */
  stop(): void {
    if (this.#state === 'new') this.close()
    else if (this.#state === 'running') this.#state = 'stopping'
  }

  /** Gives back what a loop holds that is not run. `run` does it by itself. */
  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.mailbox.close()
    this.#timers.clear()
    for (const name of this.#signalCallbacks.keys()) process.off(name, this.#onSignal)
    this.#libuv.close()
    this.demux.close()
  }

  /** What the loop holds, for whoever must close it when its thread has died. */
  get descriptors(): readonly number[] {
    return [...this.demux.descriptors, ...this.demux.wakeup.descriptors]
  }

  /** Throws Error in any thread but the loop's own, such as that of a child that was forked from it. */
  assertInLoopThread(): void {
    const tid = gettid()
    if (tid !== this.#tid) throw new Error(`this is thread ${tid}, not the loop's thread ${this.#tid}`)
  }

  statistics(): EventLoopStatistics {
    return { ...this.#counts, waitingTimers: this.#timers.size, watched: this.#watchers.size }
  }

  async #turn(): Promise<void> {
    this.#counts.turns++
    for (const hook of this.#before) this.#try(hook)
    const ready = this.demux.wait(this.#libuv.timeout(this.#ledger, this.#timeout()))
    const now = performance.now()
    for (const hook of this.#after) this.#try(hook)
    this.#runReady(ready)
    this.#counts.timers += this.#timers.run(now, this.#budget, this.#call)
    this.#runSignals()
    this.#runTasks()
    await this.#libuv.breathe(this.#ledger, ready)
  }

  /** Milliseconds that the wait may take as far as this loop's own business goes; -1 for any. */
  #timeout(): number {
    if (this.#state !== 'running') return 0 // a hook has stopped it
    if (this.#tasks.length > 0 || this.#signals.length > 0 || this.#hasMail) return 0
    const { next } = this.#timers
    return next === Number.POSITIVE_INFINITY ? -1 : Math.max(0, next - performance.now())
  }

  #runReady(ready: number): void {
    for (let i = 0; i < ready; i++) {
      const fd = this.demux.fd(i)
      const callback = this.#watchers.get(fd)
      if (callback !== undefined) {
        this.#counts.io++
        this.#call(callback, this.demux.ready(i))
      } else if (fd === WOKEN) this.#hasMail = true
      else this.#libuv.takes(fd)
    }
  }

  #runSignals(): void {
    if (this.#signals.length === 0) return
    const signals = this.#signals
    this.#signals = []
    for (const name of signals) {
      for (const callback of [...(this.#signalCallbacks.get(name) ?? [])]) {
        this.#counts.signals++
        this.#call(callback)
      }
    }
  }

  #runTasks(): void {
    const own = this.#tasks.splice(0, this.#budget)
    for (const task of own) this.#call(task)
    this.#counts.tasks += own.length
    if (this.#hasMail) this.#takeMail(this.#budget - own.length)
  }

  #takeMail(most: number): void {
    this.mailbox.listen()
    for (let count = 0; count < most; count++) {
      const task = this.mailbox.take()
      this.#hasMail = task !== undefined
      if (task === undefined) return
      this.#deliver(task.name, task.args)
    }
  }

  #deliver(name: string, args: readonly unknown[]): void {
    if (name === STOP) return this.stop()
    if (name === SIGNAL) return void this.#signals.push(args[0] as NodeJS.Signals)
    const handler = this.#handlers.get(name)
    this.#counts.tasks++
    this.#call(() => {
      if (handler === undefined) throw new Error(`a task '${name}' was posted, for which the loop has no handler`)
      handler(...(args as never[]))
    })
  }

  readonly #onSignal = (name: NodeJS.Signals): void => void this.#signals.push(name)

  readonly #call = (callback: (ready: number) => void, ready = 0): void => {
    this.#ledger.appRan = true
    this.#try(callback, ready)
  }

  #try(callback: (ready: number) => void, ready = 0): void {
    try {
      callback(ready)
    } catch (error) {
      if (this.#onError !== undefined) return this.#onError(error)
      this.#failure ??= { error }
      this.stop()
    }
  }
}

/** Ends the loop of another thread after its turn. Any thread. */
export function stopLoop(mailbox: Mailbox): 'posted' | 'full' | 'closed' {
  return mailbox.post(STOP)
}

/** Passes signals of the process on to loops of other threads, until what it returns is called. Main thread only. */
export function relaySignals(names: readonly NodeJS.Signals[], mailboxes: readonly Mailbox[]): () => void {
  const relay = (name: NodeJS.Signals): void => {
    for (const mailbox of mailboxes) mailbox.post(SIGNAL, name)
  }
  for (const name of names) process.on(name, relay)
  return () => {
    for (const name of names) process.off(name, relay)
  }
}
