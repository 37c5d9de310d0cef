/// <reference lib="es2024.sharedmemory" />
/**
 * Workers that have nothing to do: how they sleep without losing a wakeup, and no more of them are woken than there is work for.
 *
 *   worker:  BUSY ── search ─▶ SEARCHING ── found ─▶ BUSY                                   notify:  work in ── anybody
 *                                  └─ lieDown ─▶ ASLEEP ── look again ── wait ─▶ getUp               searching? enough
 *                                                  └── notify ─▶ CALLED ─▶ getUp ─▶ SEARCHING        else call a sleeper
 *
 * Whoever has put work somewhere notifies. Is anybody searching, that worker will find it, so nobody is woken; if it finds
 * something else instead and is the last that searched, it looks whether there is more and has another woken before it begins.
 * So a burst wakes one worker after the other until those that search find nothing, and a busy pool makes no system call.
 *
 * No wakeup is lost, since every operation of Atomics has its place in one order. A notifier puts its work in before it looks
 * at the workers; a worker announces that it sleeps, and that it no longer searches, before it looks at the work again. Either
 * the notifier finds it asleep or searching, or it finds the work; and one that was found searching has that last look to come.
 *
 * A worker that was called counts as searching from then on: two notifiers do not wake two for one piece of work.
 *
 * See: Go, runtime/proc.go, "Worker thread parking/unparking"; Tokio, runtime/scheduler/multi_thread/idle.rs.
 */
import { INT32_MAX, inRange } from './range.js'
import { receive, type Shared } from './shared.js'

/** Workers that are SEARCHING or CALLED. Who calls adds; a worker adds and subtracts itself. */
const SEARCHERS = 0
/** One more than the highest number of a worker that there ever was. */
const KNOWN = 1
/** One cell a worker, its state; the futex that it sleeps on. */
const STATES = 16

const BUSY = 0
const SEARCHING = 1
const ASLEEP = 2
const CALLED = 3

/** Keeps account of the workers of a pool, each of which has a number. */
export class IdleWorkers {
  readonly #cells: Int32Array

  private constructor(cells: Int32Array) {
    this.#cells = cells
  }

  /** Makes an account of workers with the numbers 0 to `workers` - 1, all of them busy. Any thread. */
  static create(workers: number): IdleWorkers {
    inRange('workers', workers, 1, INT32_MAX)
    return new IdleWorkers(new Int32Array(new SharedArrayBuffer(4 * (STATES + workers))))
  }

  /** Opens the account that another thread shared; throws TypeError for a descriptor of another kind. Any thread. */
  static from(shared: Shared): IdleWorkers {
    return new IdleWorkers(receive(shared, 'idle-workers'))
  }

  /** Describes this account for another thread. Any thread. */
  share(): Shared {
    return { kind: 'idle-workers', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** Gives a worker its own side, also after another that had the number and died. The worker only, once. */
  worker(index: number): IdleWorker {
    return new IdleWorker(this, this.#cells, index)
  }

  /** Has somebody look for the work that was put in before; false where no worker searches and none sleeps. Any thread. */
  notify(): boolean {
    return Atomics.load(this.#cells, SEARCHERS) > 0 || this.call()
  }

  /** Wakes a sleeper though others may be searching; false where none sleeps. Any thread. */
  call(): boolean {
    const known = Atomics.load(this.#cells, KNOWN)
    for (let index = 0; index < known; index++) if (this.callOne(index)) return true
    return false
  }

  /** Wakes this one if it sleeps. Any thread. */
  callOne(index: number): boolean {
    const at = STATES + index
    if (Atomics.load(this.#cells, at) !== ASLEEP) return false
    Atomics.add(this.#cells, SEARCHERS, 1) // before it can subtract itself
    if (Atomics.compareExchange(this.#cells, at, ASLEEP, CALLED) === ASLEEP) {
      Atomics.notify(this.#cells, at)
      return true
    }
    Atomics.sub(this.#cells, SEARCHERS, 1)
    return false
  }

  /** Wakes all that sleep. Any thread. */
  callAll(): void {
    const known = Atomics.load(this.#cells, KNOWN)
    for (let index = 0; index < known; index++) this.callOne(index)
  }

  /** Counts the workers that sleep and have not been called. Any thread. */
  get sleeping(): number {
    return this.#cells.subarray(STATES).reduce((count, state) => count + (state === ASLEEP ? 1 : 0), 0)
  }

  /** Counts the workers that look for work, or were called to. Any thread. */
  get searching(): number {
    return Atomics.load(this.#cells, SEARCHERS)
  }

  /** One more than the highest number of a worker that there ever was. Any thread. */
  get known(): number {
    return Atomics.load(this.#cells, KNOWN)
  }
}

/** One worker's side. That worker's thread only. */
export class IdleWorker {
  readonly #all: IdleWorkers
  readonly #cells: Int32Array
  readonly #at: number

  constructor(all: IdleWorkers, cells: Int32Array, index: number) {
    this.#all = all
    this.#cells = cells
    this.#at = STATES + index
    this.leave() // for one that died
    let known = Atomics.load(cells, KNOWN)
    while (known <= index) known = Atomics.compareExchange(cells, KNOWN, known, index + 1)
  }

  /** Begins to look where others may have work. Busy or searching. */
  search(): void {
    if (this.#cells[this.#at] === SEARCHING) return
    Atomics.add(this.#cells, SEARCHERS, 1)
    Atomics.store(this.#cells, this.#at, SEARCHING)
  }

  /** Goes to work, and wakes another if it was the last to search and `isMore` says so. Busy or searching. */
  found(isMore: () => boolean): void {
    if (this.#cells[this.#at] !== SEARCHING) return
    Atomics.store(this.#cells, this.#at, BUSY)
    // Notifiers that saw it search did so before this; what they put in the look after it finds.
    if (Atomics.sub(this.#cells, SEARCHERS, 1) === 1 && isMore()) this.#all.notify()
  }

  /** Announces that it sleeps. Must be followed by a last look at all work there may be, and by {@link getUp}. */
  lieDown(): void {
    const was = Atomics.exchange(this.#cells, this.#at, ASLEEP) // first: nobody may find it neither asleep nor searching
    if (was === SEARCHING) Atomics.sub(this.#cells, SEARCHERS, 1)
  }

  /** Sleeps until called, or for so many milliseconds; not at all where it has been called. Blocks the thread. */
  wait(timeoutMs: number): void {
    Atomics.wait(this.#cells, this.#at, ASLEEP, timeoutMs)
  }

  /** Waits until called, without blocking the thread. Keeps no event loop alive. */
  async waitAsync(): Promise<void> {
    const waiter = Atomics.waitAsync(this.#cells, this.#at, ASLEEP)
    if (waiter.async) await waiter.value
  }

  /** Ends the sleep; true where it was called and therefore counts as searching. */
  getUp(): boolean {
    const called = Atomics.exchange(this.#cells, this.#at, BUSY) === CALLED
    if (called) Atomics.store(this.#cells, this.#at, SEARCHING) // counted by who called
    return called
  }

  /** Is neither to be called nor counted any more. In whatever state. */
  leave(): void {
    const was = Atomics.exchange(this.#cells, this.#at, BUSY)
    if (was === SEARCHING || was === CALLED) Atomics.sub(this.#cells, SEARCHERS, 1)
  }
}
