/** Lists of buffers for one call: `struct iovec` of man 2 readv. */
import { within } from './bounds.js'
import { addressOf } from './ffi.js'

/** The most buffers the kernel takes in one call; more are left to the next one. */
export const IOV_MAX: number = 1024

const none: readonly Uint8Array[] = []

/** An array of `struct iovec`, filled again for each call; one is enough for a thread. */
export class IoVector {
  /** `{ void* base; size_t length }`, two 64-bit words an entry. */
  readonly entries: BigUint64Array = new BigUint64Array(2 * IOV_MAX)

  /** What the entries point into. */
  held: readonly Uint8Array[] = none

  /**
   * Points at the first `count` buffers and returns how many entries that took: at most IOV_MAX.
   * The buffers stay reachable until `release`: the collector does not know that the kernel has their addresses.
   */
  hold(buffers: readonly Uint8Array[], count: number): number {
    if (count >>> 0 !== count || count > buffers.length) {
      throw new RangeError(`count ${count} is not within the list of ${buffers.length} buffers`)
    }
    const n = Math.min(count, IOV_MAX)
    this.held = buffers
    for (let i = 0; i < n; i++) this.#point(i, buffers[i] as Uint8Array)
    return n
  }

  /** Lets the buffers go. */
  release(): void {
    this.held = none
  }

  #point(i: number, bytes: Uint8Array): void {
    this.entries[2 * i] = addressOf(within(bytes, 0, bytes.length))
    this.entries[2 * i + 1] = BigInt(bytes.length)
  }
}
