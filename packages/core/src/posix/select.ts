/** select(2): which of some descriptors are ready, by three sets of bits that each call overwrites. */
import { timeout } from './bounds.js'
import { declare, outcome } from './ffi.js'

const c = declare({ select: 'int select(int count, void* read, void* write, void* except, void* timeout)' })

/** The bits of a set: a descriptor from here on is in none. man 3 FD_SET */
export const FD_SETSIZE: number = 1024

/** A `fd_set`: one bit a descriptor. Belongs to one thread. man 3 FD_SET */
export class FdSet {
  /** The bits, 32 in a word, the lowest descriptor in the lowest bit; for select. */
  readonly words: Int32Array = new Int32Array(FD_SETSIZE / 32)

  /** Puts a descriptor in. @throws RangeError where the set has no bit for it */
  add(fd: number): void {
    if (fd >>> 0 >= FD_SETSIZE || (fd | 0) !== fd) throw new RangeError(`a fd_set has no bit for descriptor ${fd}`)
    this.words[fd >> 5] |= 1 << (fd & 31)
  }

  /** Takes a descriptor out; does nothing where it is not in. */
  remove(fd: number): void {
    if (fd < FD_SETSIZE) this.words[fd >> 5] &= ~(1 << (fd & 31))
  }

  has(fd: number): boolean {
    return fd < FD_SETSIZE && ((this.words[fd >> 5] as number) & (1 << (fd & 31))) !== 0
  }

  /** Makes this set equal to another. */
  copy(other: FdSet): void {
    this.words.set(other.words)
  }
}

const timeval = new Int32Array(4) // struct timeval { int64 seconds; int64 microseconds }

/**
 * Waits for the descriptors below `count` in the three sets, and leaves in them those that are ready: to be read, to be
 * written, exceptional (urgent data); returns how many bits that are, 0 after `timeoutMs` (-1: for ever, 0: not at all), or a
 * negative errno, with the sets undefined. Any thread. man 2 select
 * @throws RangeError where the sets have fewer bits than `count`
 */
export function select(count: number, read: FdSet, write: FdSet, except: FdSet, timeoutMs: number): number {
  if (count >>> 0 !== count || count > FD_SETSIZE)
    throw new RangeError(`count must be from 0 to ${FD_SETSIZE}: ${count}`)
  const ms = timeout(timeoutMs)
  if (ms >= 0) {
    timeval[0] = ms / 1000 // Linux leaves in it what remained, so it is written anew
    timeval[1] = 0
    timeval[2] = (ms % 1000) * 1000
    timeval[3] = 0
  }
  return outcome(c.select(count, read.words, write.words, except.words, ms < 0 ? null : timeval))
}
