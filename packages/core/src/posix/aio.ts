/**
 * POSIX asynchronous I/O: a read or a write is started, goes on by itself, and is collected once it is complete. Linux.
 *
 * glibc does it with threads of its own (20 at most), which sit in pread(2) or, of a socket, in read(2); the kernel's
 * own way is io_uring. Operations on one descriptor are done one after another, so a write waits behind a read of the
 * same socket. The descriptor should block: one that does not completes with -EAGAIN. It must not be closed under an
 * operation; a socket is shut down first. The hot calls return n >= 0 or a negative errno.
 */
import { descriptor, integer, natural, timespec, within } from './bounds.js'
import { EBUSY, EINPROGRESS, EINVAL, UnsupportedError } from './errors.js'
import { declare, outcome } from './ffi.js'
import { Block } from './memory.js'
import { type AiocbLayout, platform } from './platform.js'

const c = declare({
  aio_read: 'int aio_read(uintptr_t control)',
  aio_write: 'int aio_write(uintptr_t control)',
  aio_error: 'int aio_error(uintptr_t control)',
  aio_return: 'int aio_return(uintptr_t control)',
  aio_suspend: 'int aio_suspend(void* list, int count, void* timeout)',
  aio_cancel: 'int aio_cancel(int fd, uintptr_t control)',
})

const SIGEV_NONE = 1

/** It was taken back before it began, and ends with -ECANCELED. */
export const AIO_CANCELED: number = 0
/** It is under way and will end as if nothing had been asked; `shutdown` ends the read of a socket. */
export const AIO_NOTCANCELED: number = 1
/** It was complete already. */
export const AIO_ALLDONE: number = 2

function layout(): AiocbLayout {
  if (platform.aiocb && process.platform === 'linux') return platform.aiocb
  throw new UnsupportedError('struct aiocb', 'its layout is known for Linux')
}

/**
 * One operation at a time, with its control block and its buffer. Both lie outside the JavaScript heap, where no
 * collector moves or frees them and no thread that ends takes them along. Belongs to one thread.
 *
 * ```ts
 * const operation = new AioOperation(4096)
 * aio_read(operation, fd, 4096)
 * aio_suspend([operation], -1)
 * const n = aio_return(operation, buffer)
 * operation.free()
 * ```
 */
export class AioOperation {
  /** Bytes that one operation moves at most. */
  readonly capacity: number
  readonly #layout = layout()
  readonly #block: Block
  #isUnderWay = false
  #length = 0

  /** Makes room for `capacity` bytes, from 1 on. @throws RangeError, PosixError (ENOMEM), UnsupportedError */
  constructor(capacity: number) {
    this.capacity = integer(natural(capacity, 'capacity', 1), 'capacity')
    this.#block = Block.allocate(this.#layout.size + capacity)
  }

  /** True from its start until aio_return has collected it, whether it is complete or not. */
  get isUnderWay(): boolean {
    return this.#isUnderWay
  }

  /** Gives the memory back; a second call does nothing. @throws Error while the operation is under way */
  free(): void {
    if (this.#isUnderWay) throw new Error('the operation is under way: collect it with aio_return before it is freed')
    this.#block.free()
  }

  /** The address of the control block; for the functions of this file alone. @throws RangeError once it is freed */
  get address(): number {
    if (this.#block.size === 0) throw new RangeError('the operation was freed')
    return this.#block.address
  }

  /** Fills the control block and starts; for aio_read and aio_write alone. */
  start(call: (control: number) => number, fd: number, length: number, position: number, bytes?: Uint8Array): number {
    if (natural(length, 'length') > this.capacity) {
      throw new RangeError(`a length of ${length} bytes exceeds the capacity of ${this.capacity}`)
    }
    const control = this.#controlBlock(descriptor(fd), length, natural(position, 'position'))
    if (this.#isUnderWay) return -EBUSY
    this.#block.write(0, control)
    if (bytes) this.#block.write(this.#layout.size, bytes)
    const result = outcome(call(this.#block.address))
    this.#isUnderWay = result === 0
    this.#length = length
    return result
  }

  /** Lets the next operation begin and copies what was read; for aio_return alone. */
  finish(collect: (control: number) => number, failed: number, into?: Uint8Array, start = 0): number {
    if (into) within(into, start, this.#length)
    const moved = collect(this.address)
    this.#isUnderWay = false
    if (failed < 0) return failed
    if (into) this.#block.read(this.#layout.size, into, start, moved)
    return moved
  }

  #controlBlock(fd: number, length: number, position: number): Uint8Array {
    const { size, fildes, buffer, nbytes, notify, offset } = this.#layout
    const view = new DataView(new ArrayBuffer(size))
    view.setInt32(fildes, fd, true)
    view.setBigUint64(buffer, BigInt(this.address + size), true)
    view.setBigUint64(nbytes, BigInt(length), true)
    view.setInt32(notify, SIGEV_NONE, true)
    view.setBigInt64(offset, BigInt(position), true)
    return new Uint8Array(view.buffer)
  }
}

/**
 * Starts to read up to `length` bytes from `position` of a file; a socket has no position. Returns 0 at once, or
 * -EAGAIN (no resources), -EBUSY (the operation is under way). Owner thread only. man 3 aio_read
 * @throws RangeError where the length exceeds the capacity
 */
export function aio_read(operation: AioOperation, fd: number, length: number, position = 0): number {
  return operation.start(c.aio_read, fd, length, position)
}

/**
 * Starts to write `length` bytes of `bytes` from `start`, which are copied first, to `position` of a file. Returns as
 * aio_read does. A write to a socket whose peer has left raises SIGPIPE, which Node ignores. man 3 aio_write
 * @throws RangeError where the bytes do not lie within, or exceed the capacity
 */
export function aio_write(
  operation: AioOperation,
  fd: number,
  bytes: Uint8Array,
  start: number,
  length: number,
  position = 0,
): number {
  const source = within(bytes, start, length).subarray(0, length)
  return operation.start(c.aio_write, fd, length, position, source)
}

/** Asks how far it is: 0 complete, -EINPROGRESS, another -errno it failed with, -EINVAL none to collect. man 3 aio_error */
export function aio_error(operation: AioOperation): number {
  if (!operation.isUnderWay) return -EINVAL
  return 0 - c.aio_error(operation.address) // returns errno, unlike most calls
}

/**
 * Collects a complete operation: copies what it read to `into` from `start`, and returns how many bytes it moved (0:
 * end of file) or the negative errno it failed with; -EINPROGRESS while it is not complete, -EINVAL where there is
 * none. Owner thread only. man 3 aio_return
 * @throws RangeError where `into` has no room for the length that was asked for; the operation can still be collected
 */
export function aio_return(operation: AioOperation, into?: Uint8Array, start = 0): number {
  const state = aio_error(operation)
  if (state === -EINPROGRESS || !operation.isUnderWay) return state
  return operation.finish(c.aio_return, state, into, start)
}

/**
 * Blocks until one of the operations is complete: 0, or -EAGAIN after `ms` (below 0: for ever), -EINTR where a signal
 * came. Those that are not under way are passed over; -EINVAL where none is. Owner thread only. man 3 aio_suspend
 */
export function aio_suspend(operations: readonly AioOperation[], ms: number): number {
  const underWay = operations.filter((operation) => operation.isUnderWay)
  if (underWay.length === 0) return -EINVAL // the C library would wait for ever
  const list = BigUint64Array.from(underWay, ({ address }) => BigInt(address))
  return outcome(c.aio_suspend(list, list.length, timespec(ms)))
}

/** Tries to take an operation back: AIO_CANCELED, AIO_NOTCANCELED, AIO_ALLDONE, or -errno. man 3 aio_cancel */
export function aio_cancel(operation: AioOperation, fd: number): number {
  if (!operation.isUnderWay) return AIO_ALLDONE
  return outcome(c.aio_cancel(descriptor(fd), operation.address))
}
