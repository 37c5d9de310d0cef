/**
 * Tasks on their way between threads: a row each, with the number under which deques know it.
 *
 *   FREE ── queue ─▶ QUEUED ── begin ─▶ RUNNING ── end ─▶ ENDED ── result ─▶ FREE
 *   spawner          spawner   runner      │       runner          spawner
 *                                          └─ its runner died: abandon ─▶ LOST ── result ─▶ FREE
 *
 * A spawner has rows of its own, which it alone gives out and takes back. What goes with a task, and what comes back, are bytes
 * outside of any heap, so their number is not limited. A row changes hands with the number: through a deque on the way out, and
 * back through a list of the rows that have ended, one for each spawner, to which runners add and which it takes whole; so
 * there is no ABA.
 */

import { Block } from '@cs/core/posix'
import { registerShareable, type Shared } from '@cs/core/sync'

const FREE = 0
const QUEUED = 1
const RUNNING = 2
const ENDED = 3
const LOST = 4

/** The cells of a row. Whoever has the row writes them. */
const STATE = 0
const NEXT = 1 // in the list of those that have ended: the row after it, and one more; 0: none
const RUNNER = 2
const SIZE = 3
const LOW = 4
const HIGH = 5
const ROW = 8

/** The header: what is written once, and then the list of each spawner: its first row, and one more; 0: none. */
const SPAWNERS = 0
const EACH = 1
const LISTS = 8

export class TaskTable {
  readonly #cells: Int32Array
  readonly #each: number
  readonly #rows: number

  private constructor(cells: Int32Array) {
    this.#cells = cells
    this.#each = cells[EACH]
    this.#rows = LISTS + cells[SPAWNERS]
  }

  /** Makes a table in which each of so many spawners has so many rows. */
  static create(spawners: number, each: number): TaskTable {
    const cells = new Int32Array(new SharedArrayBuffer(4 * (LISTS + spawners + spawners * each * ROW)))
    cells[SPAWNERS] = spawners
    cells[EACH] = each
    return new TaskTable(cells)
  }

  static from({ buffer }: Shared): TaskTable {
    return new TaskTable(new Int32Array(buffer))
  }

  share(): Shared {
    return { kind: 'task-table', buffer: this.#cells.buffer as SharedArrayBuffer }
  }

  /** The rows that a spawner can give out: all, or for the successor of one that died those that are not under way. */
  freeOf(spawner: number): number[] {
    const first = spawner * this.#each
    const rows = Array.from({ length: this.#each }, (_, i) => first + i)
    return rows.filter((row) => Atomics.load(this.#cells, this.#at(row) + STATE) === FREE)
  }

  /** Puts a task into a free row. Spawner only, before it pushes the row. @throws PosixError without memory */
  queue(row: number, bytes: Uint8Array): void {
    this.#write(row, bytes)
    Atomics.store(this.#cells, this.#at(row) + STATE, QUEUED)
  }

  /** Takes a task out that was just taken from a deque. Runner only. */
  begin(row: number, runner: number): Buffer {
    const at = this.#at(row)
    this.#cells[at + RUNNER] = runner
    const bytes = this.#read(row)
    Atomics.store(this.#cells, at + STATE, RUNNING) // from here on the host knows who is to blame
    return bytes
  }

  /** Gives the row back with what came of it; returns the number of the spawner, who may sleep. Runner only. */
  end(row: number, bytes: Uint8Array): number {
    this.#write(row, bytes)
    return this.#giveBack(row, ENDED)
  }

  /** Gives back what a dead runner had begun; returns the numbers of the spawners. Host only. */
  abandon(runner: number): Set<number> {
    const spawners = new Set<number>()
    const cells = this.#cells
    for (let row = 0; row < cells[SPAWNERS] * this.#each; row++) {
      const at = this.#at(row)
      if (Atomics.load(cells, at + STATE) !== RUNNING || cells[at + RUNNER] !== runner) continue
      spawners.add(this.#giveBack(row, LOST))
    }
    return spawners
  }

  /** Whether rows of this spawner have ended. Any thread. */
  hasEnded(spawner: number): boolean {
    return Atomics.load(this.#cells, LISTS + spawner) !== 0
  }

  /** Takes the rows that have ended, each with what came of it; undefined where its runner died. Spawner only. */
  *ended(spawner: number): Generator<readonly [row: number, result: Buffer | undefined]> {
    const cells = this.#cells
    // Shows all that the runners wrote before they added their rows.
    let next = Atomics.exchange(cells, LISTS + spawner, 0)
    while (next !== 0) {
      const row = next - 1
      const at = this.#at(row)
      next = cells[at + NEXT]
      const result = cells[at + STATE] === LOST ? undefined : this.#read(row)
      Atomics.store(cells, at + STATE, FREE)
      yield [row, result]
    }
  }

  /** Frees what nobody will take out any more. When all threads have ended. */
  dispose(): void {
    const cells = this.#cells
    for (let row = 0; row < cells[SPAWNERS] * this.#each; row++) {
      const state = cells[this.#at(row) + STATE]
      if (state === QUEUED || state === ENDED) this.#block(row).free()
      cells[this.#at(row) + STATE] = FREE
    }
  }

  #giveBack(row: number, state: number): number {
    const cells = this.#cells
    const at = this.#at(row)
    const spawner = Math.floor(row / this.#each)
    Atomics.store(cells, at + STATE, state)
    for (let first = Atomics.load(cells, LISTS + spawner); ; ) {
      cells[at + NEXT] = first
      const found = Atomics.compareExchange(cells, LISTS + spawner, first, row + 1) // publishes the row to the spawner
      if (found === first) return spawner
      first = found
    }
  }

  #at(row: number): number {
    return this.#rows + row * ROW
  }

  #write(row: number, bytes: Uint8Array): void {
    const block = Block.allocate(bytes.length)
    block.write(0, bytes)
    const at = this.#at(row)
    this.#cells[at + SIZE] = bytes.length
    this.#cells[at + LOW] = block.address
    this.#cells[at + HIGH] = block.address / 2 ** 32
  }

  #read(row: number): Buffer {
    const block = this.#block(row)
    const bytes = Buffer.allocUnsafeSlow(block.size)
    block.read(0, bytes)
    block.free()
    return bytes
  }

  #block(row: number): Block {
    const at = this.#at(row)
    const address = this.#cells[at + HIGH] * 2 ** 32 + (this.#cells[at + LOW] >>> 0)
    return Block.at(address, this.#cells[at + SIZE])
  }
}

registerShareable('task-table', TaskTable)
