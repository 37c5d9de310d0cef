/**
 * What an asynchronous operation processor promises (POSA2, ch. 3), whatever executes the operations.
 *
 *   initiator ── accept, read, write, … ─▶ processor ── completion event queue ─▶ dispatch() ── calls ─▶ completion handler
 *
 *   accept(fd, handler)      accept connections, close-on-exec and non-blocking, until it fails or is cancelled; each completes
 *   read(fd, handler)        read until the end of the stream (0), a failure or a cancel; each arrival completes. The bytes are
 *                            lent until the handler returns. After `pause` it goes on with this
 *   pause(fd)                read no more; what has been read already still completes. Tells nobody
 *   write(fd, …, handler)    copy as many bytes as one operation takes, write them all, complete once; returns how many, or
 *                            -EAGAIN while a write of this descriptor is under way
 *   watch(fd, handler)       complete whenever a wait finds the descriptor readable, until it is cancelled: for descriptors
 *                            that are no connections
 *   timer(ms, handler)       complete once, in so many ms; what it returns cancels it
 *   cancel(fd)               what is under way completes with -ECANCELED as its last, unless it is complete before
 *   shutdown(fd)             send the end of the stream, behind what was written
 *   close(fd)                nothing of it completes any more, though its number becomes another's. What is being written is
 *                            still sent if the socket takes it at once, as close(2) would, and lost if not
 *   wait(timeout)            < 0 until something is complete, 0 not at all, > 0 at most that many ms; starts what was initiated
 *                            and returns how many completions wait for dispatch(), 0 also where a signal came
 *   dispatch()               call the handlers of those completions, in their order, and of no others; they may initiate more
 *   free()                   cancel everything, and give back descriptors and memory, but no descriptor that was given to it
 *
 * A result is n >= 0 or a negative errno. At most one read, one write, one accept and one watch are under way for a
 * descriptor, and none may be one that blocks. A descriptor that has been read, written or accepted from is closed with close(fd) and in no other way.
 * Owner thread only.
 */

export interface AsynchronousOperationProcessor {
  readonly backend: Backend
  /** Who does the operations, in words. */
  readonly mechanism: string
  /** What it holds itself, for whoever must close it when its thread has died. */
  readonly descriptors: readonly number[]
  accept(fd: number, handler: AcceptHandler): void
  read(fd: number, handler: ReadHandler): void
  pause(fd: number): void
  write(fd: number, chunks: readonly Uint8Array[], handler: WriteHandler): number
  /** Like write, of bytes[0, length). */
  writeBytes(fd: number, bytes: Uint8Array, length: number, handler: WriteHandler): number
  watch(fd: number, handler: WatchHandler): void
  timer(ms: number, handler: TimerHandler): () => void
  cancel(fd: number): void
  shutdown(fd: number): void
  close(fd: number): void
  wait(timeoutMs: number): number
  dispatch(): void
  free(): void
}

/** What executes the operations. */
export type Backend = 'io_uring' | 'aio' | 'emulated'

/** The completion handlers; one object may be several, and of many descriptors. */
export interface AcceptHandler {
  /** A connection, or why there will be no more until it is started again. */
  accepted(result: number, listener: number): void
}

export interface ReadHandler {
  /** `result` bytes are lent in bytes[0, result); 0 is the end of the stream. */
  received(fd: number, bytes: Buffer, result: number): void
}

export interface WriteHandler {
  /** All bytes that `write` took have been written, or why they have not. */
  sent(fd: number, result: number): void
}

export interface WatchHandler {
  ready(fd: number): void
}

export interface TimerHandler {
  expired(): void
}

/** Bytes that one write takes. */
export const WRITE_BYTES: number = 32 * 1024

/** Copies the chunks one after another to the beginning of a buffer, as far as it has room; returns how many bytes that were. */
export function gather(chunks: readonly Uint8Array[], into: Uint8Array): number {
  let at = 0
  for (const chunk of chunks) {
    const fits = Math.min(chunk.length, into.length - at)
    into.set(fits === chunk.length ? chunk : chunk.subarray(0, fits), at)
    at += fits
    if (at === into.length) break
  }
  return at
}
