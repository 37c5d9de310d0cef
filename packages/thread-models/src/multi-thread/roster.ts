/**
 * Who is there and who has work, for a server that gives each connection a thread of its own: how many threads there are, and how
 * many connections are in hand.
 *
 *   Acceptor:   reserve ─▶ accept ─▶ queue         no room: crowd ─▶ a thread is freed, or an idle client given up ─▶ reserve
 *   Seat:       queue ─▶ begins ─▶ serve ⇄ rests ─▶ leave            (each thread has one, by its index)
 *   Recruiter:  asks for threads, and dismisses them                 host: admit, dismiss, forget
 *
 * The two numbers share one word, so that a thread that ends and the acceptor that counts on it cannot cross.
 */

import { type BoundedQueue, HotQueue, type Population } from '@cs/core'
import { close, descriptorLimit, eventfd, eventfdSignal } from '@cs/core/posix'

/** Threads in the high bits, connections in hand (queued or served) in the low ones. By compare-and-exchange; any thread. */
export const POPULATION = 0
/** Threads that are to be free beyond those that serve. The host writes it. */
export const SPARE = 1
/** 1 while a client waits in the backlog for a thread that cannot be made. The acceptor writes it. */
export const CROWDED = 2
/** Threads that have begun, of those that there are to be. */
export const BEGUN = 3
/** One cell a thread, by its index: ABSENT, FREE or TAKEN. The thread writes it, and the host once the thread is dead. */
export const HANDS = 4

export const ABSENT = 0
export const FREE = 1
/** It has a connection. */
export const TAKEN = 2

export const THREAD: number = 1 << 18
const CONNECTIONS: number = THREAD - 1

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

/** Tells an acceptor that waits for it that a thread is free. */
export function tell({ cells, freed }: Roster): void {
  if (Atomics.load(cells, CROWDED) === 1) eventfdSignal(freed)
}

export function threadsIn(population: number): number {
  return population >>> 18
}

export function connectionsIn(population: number): number {
  return population & CONNECTIONS
}

export function exchange(cells: Int32Array, from: number, to: number): boolean {
  return Atomics.compareExchange(cells, POPULATION, from, to | 0) === from
}
