/**
 * Tasks for a loop from other threads: a ring of records in shared memory, and the wakeup that ends the loop's wait.
 *
 *   any thread:   lock ─▶ closed? ─▶ write the record ─▶ first since the loop last looked? signal ─▶ unlock
 *   the loop:     woken ─▶ take the flag down ─▶ read, in order
 *
 * A function cannot go to another thread, so a task is a name, which the loop has a handler for, and arguments (structured
 * clone). The lock keeps the descriptor of the wakeup open while somebody signals it.
 */

import { deserialize, serialize } from 'node:v8'
import { type SharedWakeup, Wakeup } from '../demux/index.js'
import { gettid } from '../posix/index.js'
import { Mutex, RecordRing, registerShareable, type Shared } from '../sync/index.js'

const KIND = 'loop-mailbox'

/** True from the first task until the loop looks. Any poster sets it, the loop takes it down. */
const FLAG = 0
/** The kernel's id of the loop's thread. Written once, before the mailbox is shared. */
const TID = 1
const CELLS = 2

/** A task that arrived. */
export interface Task {
  readonly name: string
  readonly args: readonly unknown[]
}

interface SharedMailbox extends Shared {
  readonly ring: Shared
  readonly mutex: Shared
  readonly wakeup: SharedWakeup
}

export class Mailbox {
  readonly #cells: Int32Array
  readonly #ring: RecordRing
  readonly #mutex: Mutex
  readonly #wakeup: Wakeup

  private constructor(buffer: SharedArrayBuffer, ring: RecordRing, mutex: Mutex, wakeup: Wakeup) {
    this.#cells = new Int32Array(buffer)
    this.#ring = ring
    this.#mutex = mutex
    this.#wakeup = wakeup
  }

  /** Makes the mailbox of the calling thread's loop, for tasks of so many bytes together. */
  static create(capacity: number, wakeup: Wakeup): Mailbox {
    const buffer = new SharedArrayBuffer(4 * CELLS)
    const mailbox = new Mailbox(buffer, RecordRing.create(capacity), Mutex.create(), wakeup)
    mailbox.#cells[TID] = gettid()
    return mailbox
  }

  /** Opens the mailbox of another thread's loop. Any thread. */
  static from(shared: Shared): Mailbox {
    const { kind, buffer, ring, mutex, wakeup } = shared as SharedMailbox
    if (kind !== KIND) throw new TypeError(`expected a ${KIND}; the kind given is '${kind}'`)
    return new Mailbox(buffer, RecordRing.from(ring), Mutex.from(mutex), Wakeup.from(wakeup))
  }

  /** Describes the mailbox for another thread. Any thread. */
  share(): Shared {
    const shared: SharedMailbox = {
      kind: KIND,
      buffer: this.#cells.buffer as SharedArrayBuffer,
      ring: this.#ring.share(),
      mutex: this.#mutex.share(),
      wakeup: this.#wakeup.share(),
    }
    return shared
  }

  /**
   * Has the loop run its handler for `name` with these arguments, in its own thread; tasks of one thread run in the order in
   * which they were posted. Never blocks for longer than another poster copies. Any thread, also the loop's.
   * @throws DataCloneError for what cannot be cloned, RangeError for more bytes than the mailbox ever has room for
   */
  post(name: string, ...args: readonly unknown[]): 'posted' | 'full' | 'closed' {
    const record = serialize([name, ...args])
    this.#mutex.lock()
    try {
      const outcome = this.#ring.tryWrite(record)
      if (outcome !== 'written') return outcome
      // The loop that takes the flag down afterwards sees the record.
      if (Atomics.exchange(this.#cells, FLAG, 1) === 0) this.#wakeup.signal()
      return 'posted'
    } finally {
      this.#mutex.unlock()
    }
  }

  /** True in the thread whose loop this is. Any thread. */
  get isOwn(): boolean {
    return this.#cells[TID] === gettid()
  }

  /** Takes the next task; undefined where there is none. The loop only. */
  take(): Task | undefined {
    const record = this.#ring.tryRead()
    if (typeof record === 'string') return undefined
    const [name, ...args] = deserialize(record) as [string, ...unknown[]]
    return { name, args }
  }

  /** Tells posters to signal again; must come before the last look. The loop only. */
  listen(): void {
    Atomics.store(this.#cells, FLAG, 0) // whoever posts from here on wakes the loop
  }

  /** Refuses tasks from now on; when it returns, nobody signals any more. The loop only. */
  close(): void {
    this.#mutex.lock()
    this.#ring.close()
    this.#mutex.unlock()
  }
}

registerShareable(KIND, Mailbox)
