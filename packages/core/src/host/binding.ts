/**
 * Whether a worker thread may be terminated. While koffi loads and looks functions up it may not: koffi cannot throw in a
 * thread that is being terminated, and ends the whole process instead.
 *
 *   thread:  NOT_YET ── enter ─▶ BINDING ── leave ─▶ BOUND         host:  NOT_YET ── forestall ─▶ NEVER
 */

const NOT_YET = 0
const BINDING = 1
const BOUND = 2
const NEVER = 3

/** Milliseconds after which the host waits no longer: the thread hangs in something else. */
const LONGEST_MS = 5000

/** One cell between a host and one of its threads; {@link Binding.buffer} travels. */
export class Binding {
  readonly buffer: SharedArrayBuffer
  readonly #cells: Int32Array

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(4)) {
    this.buffer = buffer
    this.#cells = new Int32Array(buffer)
  }

  /** Tells whether the thread may bind; false where it is to be terminated. Thread only. */
  enter(): boolean {
    return Atomics.compareExchange(this.#cells, 0, NOT_YET, BINDING) === NOT_YET // from here on the host waits
  }

  /** Says that everything is bound. Thread only, after {@link enter}. */
  leave(): void {
    Atomics.store(this.#cells, 0, BOUND) // lets the host terminate
    Atomics.notify(this.#cells, 0)
  }

  /** Keeps a thread that has not begun from binding; false while it is about it: ask again. Host only. */
  forestall(): boolean {
    return Atomics.compareExchange(this.#cells, 0, NOT_YET, NEVER) !== BINDING
  }

  /** Like {@link forestall}, but blocks while the thread binds, some 10 ms. Host only. */
  outlast(): void {
    if (!this.forestall()) Atomics.wait(this.#cells, 0, BINDING, LONGEST_MS)
  }
}
