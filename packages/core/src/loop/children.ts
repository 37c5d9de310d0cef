/**
 * Children that a process forks, one for each connection.
 *
 *   row:  FREE ── fork(2) ─▶ FORKED ── the child's first act ─▶ ALIVE ── its last ─▶ DONE ── waitpid(2) ─▶ FREE
 *
 * The parent keeps the connection until the child says that it is alive: a child that dies before (of a page that V8 mapped
 * in the moment of the fork) costs its client nothing, another is forked. One that dies later takes its connection with it.
 * Each row is written by the parent before the fork and after the child's end, and by the child in between.
 */

import { access } from 'node:fs'
import { constants } from 'node:os'
import { ACCEPTED, CLOSED_COUNT, COUNTERS, LOST, type Service } from '../connection/index.js'
import {
  _exit,
  close,
  type Ended,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLLIN,
  EpollEvents,
  encodeThreadName,
  epoll_create1,
  epoll_ctl,
  epoll_wait,
  eventfd,
  eventfdDrain,
  eventfdSignal,
  fork,
  getpid,
  getppid,
  getThreadName,
  POLLIN,
  pidfd_open,
  poll,
  prepareFork,
  setParentDeathSignal,
  setThreadName,
  uvLoop,
  waitpid,
} from '../posix/index.js'
import { EXHAUSTED, EXHAUSTED_PAUSE_MS, type Listener, NONE_WAITING } from '../socket/index.js'
import type { Rival } from './blocking-thread.js'
import { Turn } from './turn.js'
import { warmUp } from './warmth.js'

/** Cells in shared memory for all children that there may be at once. */
export interface ChildRows {
  /** One cell: 1 while a connection waits for a child to end. */
  readonly crowded: Int32Array
  readonly states: Int32Array
  /** COUNTERS for each child; they go on where the child before stopped. */
  readonly counters: Float64Array
}

const FREE = 0
const FORKED = 1
const ALIVE = 2
const DONE = 3

const { SIGKILL } = constants.signals

/** What `ps` and `top` show of a child. */
const NAME = encodeThreadName('cs:conn')

/** Milliseconds between two looks at whether a child that was just forked is alive, if nothing else happens. */
const CONFIRM_MS = 1

/** Milliseconds after which children are looked at that have no pidfd (before Linux 5.3, or out of descriptors). */
const LOOK_MS = 20

const NO_PIDFD = -1

/** Ends of children that are taken from the kernel at once. */
const ENDS = 64

/** Children that may die one after the other over a connection before it is given up. */
const MOST_FORKS = 5

/** Clients that the parent plays for itself before it forks: by then V8 has compiled what it will, and knows the shapes. */
const WARMING_ROUNDS = 100

/** Milliseconds for which a child that has served its client goes on with what its handlers left behind. */
const LEFT_BEHIND_MS = 10_000
const LEFT_BEHIND_LOOK_MS = 5

/** What {@link Children} needs of a role's context. */
export interface Parent {
  readonly children: ChildRows
  readonly service: Service
  readonly listener: Listener
  readonly stop: { readonly fd: number; readonly requested: boolean }
}

/** A connection in the hands of a child. */
interface Charge {
  readonly pid: number
  readonly fd: number
  /** Readable once the child has ended; negative where there is none. */
  readonly pidfd: number
  /** Whether the parent still holds the descriptor. */
  held: boolean
}

export class Children {
  /** What may want a child's thread away from its client; for BlockingThread.staysOn in the child. */
  readonly rival: Rival
  readonly #parent: Parent
  readonly #pid = getpid()
  readonly #counters: readonly Float64Array[]
  readonly #freeRows: number[]
  readonly #charges: (Charge | undefined)[]
  /** Rows whose child has not said yet that it is alive. */
  readonly #unconfirmed: number[] = []
  /** Connections that this process holds until there is a child for them. */
  readonly #waiting: number[] = []
  /** How many children a connection has had that never lived, by its descriptor. */
  readonly #stillborn = new Map<number, number>()
  /** Tells which rows' children have ended, by their pidfds. */
  readonly #ended = epoll_create1()
  readonly #ends = new EpollEvents(ENDS)
  /** Children without a pidfd. */
  #unwatched = 0
  /** An eventfd that is readable while children are to let go of clients that are silent. */
  readonly #urge: number
  readonly #loop = uvLoop()
  readonly #polled = new Int32Array(8)
  #turn: Turn | undefined
  #wasAlive = true
  #row = -1
  #isRehearsing = false
  #ownsLoop = false

  /** Prepares this process for forking. It must have been started with `--single-threaded`, and run on its main thread. */
  constructor(parent: Parent) {
    this.#parent = parent
    const { states, counters } = parent.children
    this.#counters = Array.from(states, (_, i) => counters.subarray(i * COUNTERS, (i + 1) * COUNTERS))
    this.#freeRows = Array.from(states, (_, i) => states.length - 1 - i)
    this.#charges = Array.from(states, () => undefined)
    this.#urge = eventfd(0, { nonblocking: true })
    const { stop } = parent
    this.rival = {
      fd: this.#urge,
      get stopping() {
        return stop.requested
      },
    }
    prepareFork()
    Object.defineProperty(process, 'pid', { get: getpid, enumerable: true, configurable: true }) // node's is the parent's
    this.#catchExits()
  }

  /** A child must leave by _exit(2): node would wait for threads that did not come along. */
  #catchExits(): void {
    const { reallyExit } = process as unknown as { reallyExit: (code: number) => never }
    Object.assign(process, { reallyExit: (code: number) => (this.#row < 0 ? reallyExit(code) : _exit(code)) })
    process.on('uncaughtExceptionMonitor', (error) => {
      if (this.#row < 0 || process.listenerCount('uncaughtException') > 0) return
      this.#parent.service.log('the app threw outside of any handler', error)
      _exit(1)
    })
  }

  /**
   * Accepts connections until the server stops, as many as there may be children; beyond it they wait in the backlog. Collects
   * children meanwhile. What waits in the backlog at the stop is taken at once (`acceptedLast`), and given as there is room.
   * Parent only.
   */
  async *acceptedFrom(listener: Listener, acceptedLast: () => void): AsyncGenerator<number> {
    const { stop, service } = this.#parent
    const waiting = this.#waiting
    while (!stop.requested) {
      const isReady = await this.#wait(true)
      if (this.#isFull) continue
      const fd = waiting.shift() ?? (isReady ? listener.take(false) : NONE_WAITING)
      service.tick()
      if (fd >= 0) yield fd
      else if (fd === EXHAUSTED) poll(this.#polled, 0, EXHAUSTED_PAUSE_MS)
    }
    waiting.push(...listener.takeLast(false))
    acceptedLast()
    eventfdSignal(this.#urge)
    while (waiting.length > 0 || this.#count > 0) {
      if (waiting.length > 0 && !this.#isFull) yield waiting.shift()!
      else await this.#wait(false)
    }
  }

  /** Forks a child for a connection: returns twice, true in the child. */
  fork(fd: number): boolean {
    const row = this.#freeRows.pop()!
    const { states } = this.#parent.children
    Atomics.store(states, row, FORKED) // the child finds it so
    this.#wasAlive = this.#loop?.alive ?? true
    let pid: number
    try {
      pid = fork() // returns twice
    } catch (error) {
      this.#free(row)
      this.#tryAgain(fd, `it cannot be forked: ${error instanceof Error ? error.message : error}`)
      return false
    }
    if (pid === 0) {
      const { listener } = this.#parent
      this.#begin(row, this.#pid, NAME, [listener.fd, this.#ended])
      return true
    }
    this.#charges[row] = { pid, fd, pidfd: this.#watch(pid, row), held: true }
    this.#unconfirmed.push(row)
    return false
  }

  /** Ends the child, once what its handlers left behind is done. Never returns. The child only. */
  async leave(): Promise<never> {
    const { states } = this.#parent.children
    const end = (): never => {
      Atomics.store(states, this.#row, DONE) // tells the parent that this is no accident
      _exit(this.#isRehearsing ? Number.NaN : 0) // throws in a rehearsal
    }
    if (this.#wasAlive || !(this.#loop?.alive ?? false)) end()
    // Not by 'beforeExit': node first waits for tasks of V8, which nobody in a child runs.
    const givesUpAt = performance.now() + LEFT_BEHIND_MS
    setInterval(() => {
      // While timers are run libuv does not count them, so it tells of everything else.
      if (!(this.#loop!.alive || hasTimers()) || performance.now() >= givesUpAt) end()
    }, LEFT_BEHIND_LOOK_MS)
    return new Promise(() => {})
  }

  /** The child only, or in a rehearsal. */
  #begin(row: number, parent: number, name: Uint8Array, inherited: readonly number[]): void {
    const { children, service } = this.#parent
    this.#row = row
    Atomics.store(children.states, row, ALIVE) // from here on the parent need not hold the connection
    setParentDeathSignal(SIGKILL)
    if (getppid() !== parent) _exit(1) // it ended before the line above
    setThreadName(name)
    service.counters = this.#counters[row]
    for (let i = 0; i < inherited.length; i++) close(inherited[i]!)
    process.nextTick(this.#forkLoop)
  }

  /** Runs when nothing is left to do but to give libuv a turn: a child whose handlers never wait does not come so far. */
  readonly #forkLoop = (): void => {
    if (this.#row < 0 || this.#isRehearsing || this.#ownsLoop) return // rehearsals have left this to be run, too
    this.#ownsLoop = true
    this.#loop?.fork() // first: until then libuv's epoll is the parent's too, and would lose what is closed here
    this.#turn?.close() // it is the parent's
    access('/', () => {}) // what libuv's threads finished before this told the parent's loop; with this they tell all anew
  }

  /** Has all that a child runs compiled before the first is forked, by doing in the parent what does no harm there. */
  async warmUp(): Promise<void> {
    const { service, listener, children } = this.#parent
    const { counters } = service
    const name = encodeThreadName(getThreadName())
    this.#isRehearsing = true
    await warmUp(service, listener, WARMING_ROUNDS, async () => {
      this.#begin(0, getppid(), name, [-1])
      await this.leave().catch(() => {})
    })
    this.#isRehearsing = false
    this.#row = -1
    service.counters = counters
    children.states[0] = FREE
  }

  get #isFull(): boolean {
    return this.#freeRows.length === 0
  }

  get #count(): number {
    return this.#charges.length - this.#freeRows.length
  }

  /** Waits until a connection can be taken, true, or something else has happened. */
  async #wait(accepts: boolean): Promise<boolean> {
    const { listener, stop } = this.#parent
    this.#confirm()
    if (accepts) this.#hurry(this.#isFull && listener.waiting)
    const door = accepts && this.#parent.children.crowded[0] === 0 ? listener.fd : -1
    const polled = this.#polled
    polled.set([this.#ended, POLLIN, accepts ? stop.fd : -1, POLLIN, this.#loop?.fd ?? -1, POLLIN, door, POLLIN])
    if (poll(polled, 4, this.#patience()) < 0) return false
    if (polled[1] >>> 16 !== 0) this.#collect()
    if (this.#unwatched > 0) this.#look()
    if (polled[5] >>> 16 !== 0 || this.#loop?.timeout() === 0) await this.#breathe()
    return polled[7] >>> 16 !== 0
  }

  /** Milliseconds for which the parent may wait. */
  #patience(): number {
    if (this.#unconfirmed.length > 0) return CONFIRM_MS
    if (this.#waiting.length > 0 && !this.#isFull) return EXHAUSTED_PAUSE_MS
    const due = this.#loop?.timeout() ?? -1
    if (this.#unwatched === 0) return due
    return due < 0 ? LOOK_MS : Math.min(due, LOOK_MS)
  }

  /** Has children let go of silent clients while others wait for a child. */
  #hurry(on: boolean): void {
    const { crowded } = this.#parent.children
    if (on === (crowded[0] !== 0)) return
    crowded[0] = Number(on) // seen by children when they are woken, or answer next
    if (on) eventfdSignal(this.#urge)
    else eventfdDrain(this.#urge)
  }

  /** Lets go of connections whose child is alive. */
  #confirm(): void {
    const rows = this.#unconfirmed
    let kept = 0
    for (const row of rows) {
      if (Atomics.load(this.#parent.children.states, row) === FORKED) rows[kept++] = row
      else this.#release(this.#charges[row]!)
    }
    rows.length = kept
  }

  #release(charge: Charge): void {
    if (charge.held) close(charge.fd)
    charge.held = false
  }

  /** Has the kernel tell when a child has ended. Not by SIGCHLD: one of Node's own threads may take it, and drop it. */
  #watch(pid: number, row: number): number {
    const pidfd = pidfd_open(pid)
    if (pidfd >= 0 && epoll_ctl(this.#ended, EPOLL_CTL_ADD, pidfd, EPOLLIN, row) === 0) return pidfd
    if (pidfd >= 0) close(pidfd)
    this.#unwatched++
    return NO_PIDFD
  }

  #unwatch(pidfd: number): void {
    if (pidfd < 0) this.#unwatched--
    else {
      epoll_ctl(this.#ended, EPOLL_CTL_DEL, pidfd, 0) // closing is not enough: children have inherited it
      close(pidfd)
    }
  }

  #collect(): void {
    const count = epoll_wait(this.#ended, this.#ends, 0)
    for (let i = 0; i < count; i++) this.#reap(this.#ends.fd(i))
  }

  #look(): void {
    for (const [row, charge] of this.#charges.entries()) if (charge !== undefined && charge.pidfd < 0) this.#reap(row)
  }

  /** Collects a child if it has ended, and what it leaves. */
  #reap(row: number): void {
    const charge = this.#charges[row]!
    const ended = waitpid(charge.pid, NOHANG)
    if (ended === 0) return
    this.#unwatch(charge.pidfd)
    const state = this.#parent.children.states[row]
    this.#confirm()
    if (state === FORKED) {
      this.#unconfirmed.splice(this.#unconfirmed.indexOf(row), 1)
      this.#tryAgain(charge.fd, `it died before it lived: ${wordsFor(ended)}`)
    } else {
      this.#stillborn.delete(charge.fd)
      if (state === ALIVE) this.#mourn(row, ended)
    }
    this.#free(row)
  }

  #free(row: number): void {
    this.#charges[row] = undefined
    this.#parent.children.states[row] = FREE
    this.#freeRows.push(row)
  }

  /** Keeps a connection for another child, unless it has cost too many. */
  #tryAgain(fd: number, why: string): void {
    const { service } = this.#parent
    const forks = (this.#stillborn.get(fd) ?? 0) + 1
    this.#stillborn.set(fd, forks)
    if (forks < MOST_FORKS) {
      this.#waiting.push(fd)
      return
    }
    service.log(`a connection is given up after ${forks} children; of the last: ${why}`)
    this.#stillborn.delete(fd)
    close(fd)
    for (const counter of [ACCEPTED, CLOSED_COUNT, LOST]) service.counters[counter]++
  }

  /** A child died amid its work: its connection, if it still had one, is lost, and nothing else. */
  #mourn(row: number, ended: Ended): void {
    const counters = this.#counters[row]
    const lost = counters[ACCEPTED] - counters[CLOSED_COUNT]
    counters[CLOSED_COUNT] += lost
    counters[LOST] += lost
    this.#parent.service.log(`the child ${ended.pid} ${wordsFor(ended)}; ${lost} connections lost`)
  }

  async #breathe(): Promise<void> {
    this.#turn ??= new Turn(false)
    await this.#turn.take()
  }
}

/** Whether there are timers besides the one that asks. */
function hasTimers(): boolean {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length > 1
}

const NOHANG = { nohang: true } as const

function wordsFor({ code, signal }: Ended): string {
  if (signal === undefined) return `ended with code ${code}`
  return `was killed by ${Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? signal}`
}
