/**
 * Who is there and who has work, for a server that gives each connection a thread of its own: how many threads there are, how
 * many connections are in hand, and whether clients wait in the backlog since there are as many as there may be.
 *
 *   Acceptor:  reserve ─▶ accept ─▶ queue            no room: crowd ─▶ a thread is freed, or an idle client given up ─▶ reserve
 *   Seat:      queue ─▶ begins ─▶ serve ⇄ rests ─▶ leave             (each thread has one, by its index)
 *   host:      admit, dismiss, forget
 *
 * A thread costs as much as hundreds of short connections. So one is made for connections that have lain in the queue for a
 * moment, when those that run are blocked or with their clients, and ahead of need for the next; not for each that comes.
 *
 * The two numbers share one word, so that a thread that ends and the acceptor that counts on it cannot cross.
 */

import {
  type BoundedQueue,
  HotQueue,
  type Population,
  type Rival,
  type RoleContext,
  type Shift,
  type Taker,
  type WorkloadRow,
} from '@cs/core'
import { close, descriptorLimit, eventfd, eventfdDrain, eventfdSignal } from '@cs/core/posix'

/** Threads in the high bits, connections in hand (queued or served) in the low ones. By compare-and-exchange; any thread. */
const POPULATION = 0
/** Threads that are to be free beyond those that serve. The host writes it. */
const SPARE = 1
/** 1 while a client waits in the backlog for a thread that cannot be made. The acceptor writes it. */
const CROWDED = 2
/** Threads that have begun, of those that there are to be. */
const BEGUN = 3
/** One cell a thread, by its index: ABSENT, FREE or TAKEN. The thread writes it, and the host once the thread is dead. */
const HANDS = 4

const ABSENT = 0
const FREE = 1
/** It has a connection. */
const TAKEN = 2

const THREAD = 1 << 18
const CONNECTIONS: number = THREAD - 1

/** Milliseconds for which connections may lie in the queue without one being taken. */
const PATIENCE_MS = 10

/** Milliseconds between two looks at how many threads are spare. */
const REVIEW_MS = 50

const FOREVER = Number.POSITIVE_INFINITY

/** Descriptors that a thread takes, and that the process needs besides. */
const PER_THREAD = 12
const BESIDES = 48

/** What all threads share; plain data. */
export interface Roster {
  readonly cells: Int32Array
  /** The most threads there may be. */
  readonly limit: number
  /** An eventfd for the acceptor: a thread is free again. */
  readonly freed: number
  /** An eventfd for threads whose clients are idle: one is to give its client up. */
  readonly wanted: number
}

/** What a user has set. */
interface Numbers {
  readonly threads: number
  readonly spare: number
}

/** How many threads there can be, of those that there may be: each takes some descriptors. */
export function threadLimit(threads: number): number {
  return Math.max(1, Math.min(threads, Math.floor((descriptorLimit().soft - BESIDES) / PER_THREAD)))
}

/** Threads that are made before the first connection: one at least, which shows that the app loads. */
export function firstThreads({ threads, spare }: Numbers): number {
  return Math.min(threadLimit(threads), Math.max(1, spare))
}

/** Makes a roster; the threads that are there at first are on it. */
export function openRoster(numbers: Numbers): Roster {
  const limit = threadLimit(numbers.threads)
  const cells = new Int32Array(new SharedArrayBuffer((HANDS + 2 * limit) * 4)) // those that leave have an index still
  cells[POPULATION] = firstThreads(numbers) * THREAD
  cells[SPARE] = numbers.spare
  const freed = eventfd(0, { nonblocking: true })
  try {
    return { cells, limit, freed, wanted: eventfd(0, { nonblocking: true }) }
  } catch (error) {
    close(freed)
    throw error
  }
}

export function closeRoster({ freed, wanted }: Roster): void {
  close(freed)
  close(wanted)
}

/** Whether connections wait for threads that have not begun, and that others could stand in for. Any thread. */
export function isAwaited({ cells }: Roster): boolean {
  if (cells[SPARE] === 0) return false // a thread that has served would not take them
  return connectionsIn(Atomics.load(cells, POPULATION)) > Atomics.load(cells, BEGUN) // may each be an instant old
}

/** Whether clients wait in the backlog since there can be no thread for them. Any thread. */
export function isCrowded({ cells }: Roster): boolean {
  return Atomics.load(cells, CROWDED) === 1 // sees what the acceptor found
}

/** How many there are. Any thread. */
export function countsOf({ cells }: Roster): { threads: number; connections: number; spare: number } {
  const population = Atomics.load(cells, POPULATION)
  return { threads: threadsIn(population), connections: connectionsIn(population), spare: cells[SPARE] }
}

/** What the host must know to keep the roster. */
interface Pool {
  readonly roster: Roster
  readonly queue: BoundedQueue
  readonly takers: Int32Array
}

/** How the host keeps the roster. */
export const population: Population<Pool> = {
  /** One more spare thread is to be there. */
  admit: ({ roster: { cells } }) => {
    cells[SPARE]++
    Atomics.add(cells, POPULATION, THREAD)
  },

  /** One fewer is to be there; the last spare one stays. */
  dismiss: ({ roster: { cells }, queue, takers }) => {
    if (cells[SPARE] > 1) cells[SPARE]--
    Atomics.sub(cells, POPULATION, THREAD)
    new HotQueue(queue, takers).dismiss()
  },

  /** A thread has died, and another takes its seat: settles, once, what the dead one can no longer. */
  forget: ({ roster, queue, takers }, index) => {
    const { cells } = roster
    const hand = Atomics.exchange(cells, HANDS + index, ABSENT)
    new HotQueue(queue, takers).forget(index)
    if (hand !== ABSENT) Atomics.sub(cells, BEGUN, 1)
    if (hand !== TAKEN) return
    Atomics.sub(cells, POPULATION, 1)
    tell(roster)
  },
}

/** The acceptor's side. */
export class Acceptor {
  readonly #roster: Roster
  readonly #keepMs: number
  /** Threads on the roster that nobody has been asked for yet. */
  #missing = 0
  /** The most connections at once since the last look at how many threads are needed. */
  #most = 0
  #since: number
  /** The fewest connections at once since the last review. */
  #least = 0
  #reviewedAt: number
  readonly #queue: HotQueue
  /** Connections that had been taken at the last look at the queue, and when the number last changed. */
  #taken = 0
  #takenAt = 0

  /** @param keepMs how long threads are kept that were not needed; 0: for ever */
  constructor(roster: Roster, queue: HotQueue, keepMs: number, now: number) {
    this.#roster = roster
    this.#queue = queue
    this.#keepMs = keepMs
    this.#since = now
    this.#reviewedAt = now
  }

  /**
   * Counts in a connection that is about to be accepted, and, where none are kept, a thread for it. False where there can be no
   * thread for it; then it is counted only if it is one of the `last`, which are accepted all the same.
   */
  reserve(last = false): boolean {
    const { cells, limit } = this.#roster
    for (;;) {
      const population = Atomics.load(cells, POPULATION)
      const connections = connectionsIn(population) + 1
      if (connections > limit && !last) return false
      const more = cells[SPARE] > 0 ? 0 : Math.max(0, Math.min(limit, connections) - threadsIn(population))
      if (!exchange(cells, population, population + more * THREAD + 1)) continue
      this.#least = Math.min(this.#least, connections - 1)
      this.#missing += more
      this.#most = Math.max(this.#most, connections)
      return true
    }
  }

  /** How many threads are to be started by now; asks for each only once. */
  recruits(): number {
    const missing = this.#missing
    this.#missing = 0
    return missing
  }

  /** Takes back the last {@link reserve}: there was nobody to accept. */
  cancel(): void {
    Atomics.sub(this.#roster.cells, POPULATION, 1)
  }

  /** Takes note of what threads have told. */
  hear(): void {
    eventfdDrain(this.#roster.freed)
  }

  /** Says that clients wait in the backlog, and that a thread with an idle one is to give it up. True where one is free by now. */
  crowd(): boolean {
    const { cells, limit, wanted } = this.#roster
    Atomics.store(cells, CROWDED, 1) // from here on who frees a thread says so
    if (countsOf(this.#roster).connections < limit) return true
    eventfdDrain(wanted)
    eventfdSignal(wanted)
    return false
  }

  /** Says that nobody waits any more. */
  disperse(): void {
    const { cells, wanted } = this.#roster
    if (cells[CROWDED] === 0) return
    Atomics.store(cells, CROWDED, 0)
    eventfdDrain(wanted)
  }

  /** Milliseconds until {@link review} has something to look at, -1 for ever. */
  timeout(now: number): number {
    if (this.#queue.size > 0) return PATIENCE_MS
    const { threads, connections, spare } = countsOf(this.#roster)
    const untilSpare = threads < Math.min(this.#roster.limit, connections + spare) ? this.#untilReview(now) : FOREVER
    const untilExcess = this.#keepMs > 0 && threads > spare ? this.#untilExcess(now) : FOREVER
    return Math.min(untilSpare, untilExcess) === FOREVER ? -1 : Math.min(untilSpare, untilExcess)
  }

  /** Where connections have lain in the queue for a while, has more threads run, and puts those on the roster that are wanting. */
  press(now: number): void {
    if (this.#queue.size === 0) return
    const taken = this.#queue.taken
    if (taken !== this.#taken) this.#takenAt = now
    this.#taken = taken
    if (((now - this.#takenAt) | 0) < PATIENCE_MS) return
    this.#takenAt = now
    this.#queue.relent()
    this.#recruit(countsOf(this.#roster).connections)
  }

  /**
   * Sees, now and then, to the threads that are to be spare: puts those on the roster that are wanting, and takes those off it,
   * and returns their number, that nobody has needed for a while. What is in hand only for a moment does not count.
   */
  review(now: number): number {
    const { connections } = countsOf(this.#roster)
    this.#least = Math.min(this.#least, connections)
    if (this.#untilReview(now) > 0) return 0
    this.#reviewedAt = now
    this.#recruit(this.#least)
    this.#least = connections
    return this.#keepMs > 0 && this.#untilExcess(now) === 0 ? this.#dismiss(now) : 0
  }

  #recruit(connections: number): void {
    const { cells, limit } = this.#roster
    const population = Atomics.load(cells, POPULATION)
    const more = Math.min(limit, connections + cells[SPARE]) - threadsIn(population)
    if (more > 0 && exchange(cells, population, population + more * THREAD)) this.#missing += more
  }

  #dismiss(now: number): number {
    const { cells, limit } = this.#roster
    const population = Atomics.load(cells, POPULATION)
    const most = Math.max(this.#most, connectionsIn(population))
    const excess = Math.max(0, threadsIn(population) - Math.min(limit, most + cells[SPARE]))
    if (!exchange(cells, population, population - excess * THREAD)) return 0 // next time
    this.#since = now
    this.#most = connectionsIn(population)
    return excess
  }

  #untilReview(now: number): number {
    return Math.max(0, REVIEW_MS - ((now - this.#reviewedAt) | 0))
  }

  #untilExcess(now: number): number {
    return Math.max(0, this.#keepMs - ((now - this.#since) | 0))
  }
}

type Stop = RoleContext<unknown, unknown>['stop']

/** A thread's side; to a client that it stays with, the rival is whoever waits in the backlog. */
export class Seat implements Shift, Rival {
  readonly fd: number
  readonly stopFd: number
  readonly #roster: Roster
  readonly #hand: number
  readonly #taker: Taker
  readonly #workload: WorkloadRow
  readonly #stop: Stop

  constructor(roster: Roster, index: number, taker: Taker, workload: WorkloadRow, stop: Stop) {
    this.fd = roster.wanted
    this.stopFd = stop.fd
    this.#roster = roster
    this.#hand = HANDS + index
    this.#taker = taker
    this.#workload = workload
    this.#stop = stop
    Atomics.store(roster.cells, this.#hand, FREE)
    Atomics.add(roster.cells, BEGUN, 1)
  }

  get stopping(): boolean {
    return this.#stop.requested
  }

  /** The thread has taken a connection. */
  begins(fd: number, time: number): void {
    Atomics.store(this.#roster.cells, this.#hand, TAKEN) // tells the host, should the thread die
    this.#workload.begins(fd, time)
  }

  ends(time: number): void {
    this.#workload.ends(time)
  }

  /**
   * The connection has ended. Tells whether the thread is to end too, none being kept: not one that is needed for what is in
   * hand, and none while the server drains.
   */
  leave(): boolean {
    const { cells } = this.#roster
    Atomics.store(cells, this.#hand, FREE)
    for (;;) {
      const population = Atomics.load(cells, POPULATION)
      const ends = !this.stopping && cells[SPARE] === 0 && threadsIn(population) >= connectionsIn(population)
      if (!exchange(cells, population, population - 1 - (ends ? THREAD : 0))) continue
      tell(this.#roster)
      return ends
    }
  }

  /** It waits for its client: another thread may run. */
  rests(): void {
    this.#taker.rests()
  }

  resumes(): void {
    this.#taker.resumes()
  }

  /** The thread ends: nobody need settle anything for it. */
  vacate(): void {
    Atomics.store(this.#roster.cells, this.#hand, ABSENT)
    Atomics.sub(this.#roster.cells, BEGUN, 1)
    this.#taker.leave()
    this.#workload.leave()
  }

  /** Whether this thread is the one that gives its idle client up: one for each call of {@link Acceptor.crowd}. */
  takes(): boolean {
    return eventfdDrain(this.#roster.wanted) > 0
  }
}

/** Tells an acceptor that waits for it that a thread is free. */
function tell({ cells, freed }: Roster): void {
  if (Atomics.load(cells, CROWDED) === 1) eventfdSignal(freed)
}

function threadsIn(population: number): number {
  return population >>> 18
}

function connectionsIn(population: number): number {
  return population & CONNECTIONS
}

function exchange(cells: Int32Array, from: number, to: number): boolean {
  return Atomics.compareExchange(cells, POPULATION, from, to | 0) === from
}
