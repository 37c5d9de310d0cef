/** Memory outside the JavaScript heap: mapped, shared between processes, or handed between threads by its address. */
import { natural, within } from './bounds.js'
import { ENOMEM, PosixError } from './errors.js'
import { check, declare, viewOf } from './ffi.js'
import { platform } from './platform.js'

const c = declare({
  mmap: 'intptr_t mmap(uintptr_t address, size_t size, int protection, int flags, int fd, int64_t offset)',
  munmap: 'int munmap(uintptr_t address, size_t size)',
  madvise: 'int madvise(uintptr_t address, size_t size, int advice)',
  malloc: 'uintptr_t malloc(size_t size)',
  free: 'void free(uintptr_t address)',
  copyTo: 'void memcpy(uintptr_t target, void* source, size_t size)',
  copyFrom: 'void memcpy(void* target, uintptr_t source, size_t size)',
})

const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const MAP_PRIVATE = 2

/** Give the pages back; they read as zeros (private memory) from then on. */
export const MADV_DONTNEED: number = 4
/** Leave the pages out of a forked child. Linux. */
export const MADV_DONTFORK: number = 10
/** Let a forked child have the pages again. Linux. */
export const MADV_DOFORK: number = 11
/** Let a forked child see zeros in place of the pages. Linux. */
export const MADV_WIPEONFORK: number = 18

/**
 * Maps `size` bytes of zeros, private to this process, and returns their address. Any thread. man 2 mmap @throws
 * PosixError
 */
export function mmapAnonymous(size: number): number {
  return map(size, MAP_PRIVATE | platform.MAP_ANONYMOUS, -1)
}

/** Mapped memory; `buffer` must not be touched after munmap: the process would die of SIGSEGV. */
export interface Region {
  readonly address: number
  readonly size: number
  /** The memory itself, not a copy. */
  readonly buffer: ArrayBuffer
}

/**
 * Maps `size` bytes of a file from `offset` (whole pages) so that all who map it see one memory. Any thread; the buffer
 * belongs to the thread that called. man 2 mmap
 * @throws PosixError
 */
export function mmapShared(fd: number, size: number, offset = 0): Region {
  const address = map(size, MAP_SHARED, fd, offset)
  return { address, size, buffer: viewOf(address, size) }
}

/** Maps `size` bytes of zeros, private to this process, with a view of them. Any thread. man 2 mmap @throws PosixError */
export function mmapPrivate(size: number): Region {
  const address = mmapAnonymous(size)
  return { address, size, buffer: viewOf(address, size) }
}

function map(size: number, flags: number, fd: number, offset = 0): number {
  return check(c.mmap(0, natural(size, 'size'), PROT_READ_WRITE, flags, fd, natural(offset, 'offset')), 'mmap')
}

/** Unmaps memory; views of it must not be used from then on. Any thread. man 2 munmap @throws PosixError */
export function munmap(address: number, size: number): void {
  check(c.munmap(natural(address, 'address'), natural(size, 'size')), 'munmap')
}

/** Tells the kernel what to expect of mapped memory (MADV_…). Any thread. man 2 madvise @throws PosixError */
export function madvise(address: number, size: number, advice: number): void {
  check(c.madvise(natural(address, 'address'), natural(size, 'size'), advice), 'madvise')
}

function checkInside(size: number, offset: number, length: number): void {
  natural(offset, 'offset')
  if (offset + natural(length, 'length') > size) {
    throw new RangeError(`offset ${offset} and length ${length} do not lie within a block of ${size} bytes`)
  }
}

/**
 * Copies buffer[start … start + length) to `offset` of the `size` bytes at `address`. Any thread. man 3 memcpy
 * @throws RangeError where either side is out of bounds
 */
export function copyIn(
  address: number,
  size: number,
  offset: number,
  buffer: Uint8Array,
  start: number,
  length: number,
): void {
  checkInside(size, offset, length)
  c.copyTo(natural(address, 'address', 1) + offset, within(buffer, start, length), length)
}

/**
 * Copies `length` bytes from `offset` of the `size` bytes at `address` to buffer[start …]. Any thread. man 3 memcpy
 * @throws RangeError where either side is out of bounds
 */
export function copyOut(
  address: number,
  size: number,
  offset: number,
  buffer: Uint8Array,
  start: number,
  length: number,
): void {
  checkInside(size, offset, length)
  c.copyFrom(within(buffer, start, length), natural(address, 'address', 1) + offset, length)
}

/**
 * Bytes outside the JavaScript heap that any thread of the process reaches by two numbers, address and size. Who
 * frees is settled between the threads, and only one of them does: the handle knows its own `free` alone.
 *
 * ```ts
 * const block = Block.allocate(4096)           // one thread
 * block.write(0, bytes)
 * worker.postMessage([block.address, block.size])
 *
 * const block = Block.at(address, size)        // another
 * block.read(0, buffer)
 * block.free()
 * ```
 */
export class Block {
  /** Bytes; 0 once the block is freed, so that every later access is refused. */
  get size(): number {
    return this.#size
  }
  readonly address: number
  #size: number

  private constructor(address: number, size: number) {
    this.address = natural(address, 'address', 1)
    this.#size = natural(size, 'size', 1)
  }

  /** Allocates `size` bytes, from 1 on, with whatever they hold. man 3 malloc @throws PosixError, RangeError */
  static allocate(size: number): Block {
    const address = c.malloc(natural(size, 'size', 1))
    if (address === 0) throw new PosixError('malloc', -ENOMEM, `of ${size} bytes`)
    return new Block(address, size)
  }

  /** Takes hold of a block that another thread allocated. The numbers are believed. */
  static at(address: number, size: number): Block {
    return new Block(address, size)
  }

  /** Copies bytes[start … end) to `offset` and returns how many that were. @throws RangeError */
  write(offset: number, bytes: Uint8Array, start = 0, end: number = bytes.length): number {
    copyIn(this.address, this.#size, offset, bytes, start, end - start)
    return end - start
  }

  /** Copies `length` bytes (default: what fits) from `offset` to into[start …]; returns how many. @throws RangeError */
  read(offset: number, into: Uint8Array, start = 0, length: number = this.#fitting(offset, into, start)): number {
    copyOut(this.address, this.#size, offset, into, start, length)
    return length
  }

  /** Gives the memory back; a second call on the same handle does nothing. man 3 free */
  free(): void {
    if (this.#size > 0) c.free(this.address)
    this.#size = 0
  }

  #fitting(offset: number, into: Uint8Array, start: number): number {
    return Math.max(0, Math.min(this.#size - offset, into.length - start))
  }
}
