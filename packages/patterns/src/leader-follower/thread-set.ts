/**
 * The thread set of leader and followers: at most one thread leads, the others follow in the order in which they came.
 *
 *   join ── nobody leads ─▶ leader ── promote ─▶ processing ── join …
 *     └──── else ─▶ follower, last in the line ── called, once it is the first ─▶ leader
 *                                             └── handed an event ─▶ processing
 *
 * A promotion calls one follower, whoever has followed longest, and none while one that was called is still on its way. A
 * thread that comes to join meanwhile leads at once instead of falling asleep; the follower whose call was in vain stays the
 * first, and the next promotion is for it and no other. So each is passed over once at most, and nobody is woken for nothing
 * twice.
 *
 * One lock guards all cells; it is held for a few stores. While nobody leads, no follower sleeps but one has been called: what
 * every operation leaves behind, also the one by which the host strikes out a thread that died (`forget`).
 */

import type { Demultiplexer } from '@cs/core'
import { Mutex, registerShareable, type Shared, type TakeResult } from '@cs/core/sync'

const KIND = 'thread-set'

/** Cells of the set; a member is named by its index plus one. */
const NOBODY = 0
const LEADER = 0
/** Who was called and has not come. */
const CALLED = 1
/** For whom alone the next lead is. */
const RESERVED = 2
const FIRST = 3
const LAST = 4
const FOLLOWERS = 5
const CLOSED = 6
/** Members that are still to be dismissed. */
const DISMISSALS = 7
/** 1 while the leader sits in its wait; without the lock. */
const WAITING = 8
const HEADER = 16 // a cache line

/** Cells of a member. */
const STATE = 0 // what a follower sleeps on
const BEFORE = 1
const AFTER = 2
const EVENT = 3 // what it was handed
const ROW = 16

/** The states of a member: in the line, or why it is not. */
const AWAKE = 0
const ASLEEP = 1
const CALLED_UP = 2
const HANDED = 3
const STIRRED = 4

/** Cells of the statistics, which do not wrap. */
const PROMOTIONS = 0
const HAND_OFFS = 1
const COUNTS = 2

/** Looks that a thread takes at the lead before it falls asleep, unless the leader sits in its wait. */
const SPINS = 100

/** What the thread that leads, and no other, can do. Owner thread only. */
export interface Leader {
  /** Waits for events as `demux.wait` does: no other thread of the set does meanwhile. */
  wait(demux: Demultiplexer, timeoutMs: number): number
  /** Gives up the lead, and calls a follower to take it. */
  promote(): void
  /** Gives an event to the first of the followers, and goes on leading; false where there is none. */
  handOff(event: number): boolean
  /** Has all followers return 'timed out': something has changed that concerns each. */
  stir(): void
}

/** What a thread that does not lead can do. Owner thread only. */
export interface Follower {
  /** Waits, at most so many milliseconds, until it leads, is handed an event, or is to wait no more. */
  join(timeoutMs?: number): Leader | TakeResult
}

/** What has happened in the set. */
export interface ThreadSetStatistics {
  /** The index of the leader, -1 where nobody leads. */
  readonly leader: number
  readonly followers: number
  readonly promotions: number
  readonly handOffs: number
}

interface SharedThreadSet extends Shared {
  readonly mutex: Shared
  readonly counts: SharedArrayBuffer
}

export class ThreadSet {
  readonly #cells: Int32Array
  readonly #counts: Float64Array
  readonly #mutex: Mutex

  private constructor(buffer: SharedArrayBuffer, counts: SharedArrayBuffer, mutex: Mutex) {
    this.#cells = new Int32Array(buffer)
    this.#counts = new Float64Array(counts)
    this.#mutex = mutex
  }

  /** Makes a set for members with the indexes 0 to `members` - 1. */
  static create(members: number): ThreadSet {
    const buffer = new SharedArrayBuffer((HEADER + members * ROW) * 4)
    return new ThreadSet(buffer, new SharedArrayBuffer(COUNTS * 8), Mutex.create())
  }

  /** Opens the set that another thread shared. */
  static from(shared: Shared): ThreadSet {
    const { buffer, counts, mutex } = shared as SharedThreadSet
    return new ThreadSet(buffer, counts, Mutex.from(mutex))
  }

  share(): Shared {
    const buffer = this.#cells.buffer as SharedArrayBuffer
    const counts = this.#counts.buffer as SharedArrayBuffer
    return { kind: KIND, buffer, counts, mutex: this.#mutex.share() } as SharedThreadSet
  }

  /** The side of one thread, which begins as a follower. That thread only, once. */
  member(index: number): Follower {
    const me = index + 1
    const leader: Leader = {
      wait: (demux, timeoutMs) => this.#wait(demux, timeoutMs),
      promote: () => this.#promote(me),
      handOff: (event) => this.#handOff(me, event),
      stir: () => this.#stir(),
    }
    return { join: (timeoutMs = Number.POSITIVE_INFINITY) => this.#join(me, timeoutMs, leader) }
  }

  /** Has one member return 'dismissed' from join, whichever comes first. Any thread. */
  dismiss(): void {
    const cells = this.#cells
    this.#mutex.lock()
    cells[DISMISSALS]++
    this.#unlock(cells[CALLED] === 0 ? this.#call() : NOBODY) // one that is on its way anyway will do
  }

  /** Has every join return 'closed' from now on. Any thread. */
  close(): void {
    this.#mutex.with(() => {
      this.#cells[CLOSED] = 1
    })
    this.#stir()
  }

  /** Strikes out a member whose thread has died: if it led, or was called to, another will. The host, before the next has its index. */
  forget(index: number): void {
    const cells = this.#cells
    const dead = index + 1
    this.#mutex.lock()
    if (cells[LEADER] === dead) {
      cells[LEADER] = NOBODY
      cells[WAITING] = 0
    }
    if (cells[rowOf(dead) + STATE] === ASLEEP) this.#remove(dead)
    this.#leave(dead, undefined)
  }

  /** Reads the counts of one moment. Any thread. */
  statistics(): ThreadSetStatistics {
    return this.#mutex.with(() => ({
      leader: this.#cells[LEADER] - 1,
      followers: this.#cells[FOLLOWERS],
      promotions: this.#counts[PROMOTIONS],
      handOffs: this.#counts[HAND_OFFS],
    }))
  }

  #join(me: number, timeoutMs: number, leader: Leader): Leader | TakeResult {
    const cells = this.#cells
    const deadline = performance.now() + timeoutMs
    this.#spin()
    this.#mutex.lock()
    for (let state = AWAKE; ; ) {
      if (state === HANDED) return this.#leave(me, cells[rowOf(me) + EVENT])
      if (cells[CLOSED] === 1) return this.#leave(me, 'closed')
      if (cells[DISMISSALS] > 0) {
        cells[DISMISSALS]--
        return this.#leave(me, 'dismissed')
      }
      if (cells[LEADER] === NOBODY && (cells[RESERVED] === NOBODY || cells[RESERVED] === me)) {
        cells[LEADER] = me
        return this.#leave(me, leader)
      }
      const left = deadline - performance.now()
      if (state === STIRRED || left <= 0) return this.#leave(me, 'timed out')
      state = this.#follow(me, left)
    }
  }

  /** Sleeps until woken or out of time, without the lock, and comes back with it; tells why it was woken. */
  #follow(me: number, timeoutMs: number): number {
    const cells = this.#cells
    const at = rowOf(me) + STATE
    if (cells[CALLED] === me) {
      cells[CALLED] = NOBODY
      cells[RESERVED] = me // it was called in vain
    }
    this.#insert(me, cells[RESERVED] === me)
    cells[at] = ASLEEP
    this.#mutex.unlock()
    Atomics.wait(cells, at, ASLEEP, timeoutMs)
    this.#mutex.lock()
    const state = cells[at]
    if (state === ASLEEP) this.#remove(me) // out of time
    cells[at] = AWAKE
    return state
  }

  /** Ends a join: whatever comes of it, nobody waits for this member any more. Gives back the lock. */
  #leave<T>(member: number, outcome: T): T {
    const cells = this.#cells
    cells[rowOf(member) + STATE] = AWAKE
    if (cells[CALLED] === member) cells[CALLED] = NOBODY
    if (cells[RESERVED] === member) cells[RESERVED] = NOBODY
    this.#unlock(this.#fill())
    return outcome
  }

  #promote(me: number): void {
    this.#mutex.lock()
    this.#check(me)
    this.#cells[LEADER] = NOBODY
    this.#counts[PROMOTIONS]++
    this.#unlock(this.#fill())
  }

  #handOff(me: number, event: number): boolean {
    const cells = this.#cells
    this.#mutex.lock()
    this.#check(me)
    const first = cells[FIRST]
    if (first !== NOBODY) {
      cells[rowOf(first) + EVENT] = event
      this.#wake(HANDED)
      this.#counts[HAND_OFFS]++
    }
    this.#unlock(first)
    return first !== NOBODY
  }

  #stir(): void {
    this.#mutex.lock()
    const stirred: number[] = []
    while (this.#cells[FIRST] !== NOBODY) stirred.push(this.#wake(STIRRED))
    this.#mutex.unlock()
    for (const member of stirred) this.#notify(member)
  }

  #wait(demux: Demultiplexer, timeoutMs: number): number {
    Atomics.store(this.#cells, WAITING, 1) // tells those who come that the lead will not be free soon
    const ready = demux.wait(timeoutMs)
    Atomics.store(this.#cells, WAITING, 0)
    return ready
  }

  /** The leader gives up the lead within a microsecond, unless it sits in its wait. */
  #spin(): void {
    const cells = this.#cells
    for (let spin = 0; spin < SPINS; spin++) {
      if (Atomics.load(cells, LEADER) === NOBODY || Atomics.load(cells, WAITING) === 1) return
    }
  }

  #check(me: number): void {
    if (this.#cells[LEADER] === me) return
    this.#mutex.unlock()
    throw new Error('this thread does not lead: a Leader is of use from the join() that gave it until its promote()')
  }

  /** Calls the first of the followers if the lead is free and none is on its way; returns whom to notify. */
  #fill(): number {
    return this.#cells[LEADER] === NOBODY && this.#cells[CALLED] === NOBODY ? this.#call() : NOBODY
  }

  #call(): number {
    if (this.#cells[FIRST] === NOBODY) return NOBODY
    return (this.#cells[CALLED] = this.#wake(CALLED_UP))
  }

  /** Takes the first of the followers out of the line and tells it why; it must be notified. */
  #wake(state: number): number {
    const first = this.#cells[FIRST]
    this.#remove(first)
    this.#cells[rowOf(first) + STATE] = state
    return first
  }

  #unlock(toNotify: number): void {
    this.#mutex.unlock()
    if (toNotify !== NOBODY) this.#notify(toNotify) // which needs the lock next
  }

  #notify(member: number): void {
    Atomics.notify(this.#cells, rowOf(member) + STATE, 1)
  }

  #insert(member: number, isFirst: boolean): void {
    const before = isFirst ? NOBODY : this.#cells[LAST]
    const after = isFirst ? this.#cells[FIRST] : NOBODY
    this.#link(before, member)
    this.#link(member, after)
    this.#cells[FOLLOWERS]++
  }

  #remove(member: number): void {
    this.#link(this.#cells[rowOf(member) + BEFORE], this.#cells[rowOf(member) + AFTER])
    this.#cells[FOLLOWERS]--
  }

  /** Makes two members neighbours in the line; nobody stands for its ends. */
  #link(before: number, after: number): void {
    this.#cells[before === NOBODY ? FIRST : rowOf(before) + AFTER] = after
    this.#cells[after === NOBODY ? LAST : rowOf(after) + BEFORE] = before
  }
}

function rowOf(member: number): number {
  return HEADER + (member - 1) * ROW
}

registerShareable(KIND, ThreadSet)
