/**
 * Asynchronous operations where the kernel has none for sockets: a reactor waits until a descriptor is ready, something
 * transfers the bytes, and the completion is queued. What transfers them is a Transfers: see emulated.ts and aio.ts.
 *
 *   read(fd) ─▶ demultiplexer ─▶ ready ─▶ begin ─▶ settle ─▶ event queue ─▶ dispatch ─▶ finish ─▶ handler
 *
 * A write is begun at once, and waits for the demultiplexer only where the socket does not take all of it. Accepting is
 * accept4(2) on readiness for both.
 */

import { type Demultiplexer, READABLE, WRITABLE } from '../demux/index.js'
import { TimerHeap } from '../loop/index.js'
import { accept4, close, EAGAIN, ECANCELED, EINTR, SHUT_WR, shutdown } from '../posix/index.js'
import {
  type AcceptHandler,
  type AsynchronousOperationProcessor,
  type Backend,
  gather,
  type ReadHandler,
  type TimerHandler,
  type WatchHandler,
  WRITE_BYTES,
  type WriteHandler,
} from './processor.js'

/** Who moves the bytes of a descriptor that is ready. No descriptor blocks. */
export interface Transfers {
  readonly backend: Backend
  readonly mechanism: string
  /** Begins to read what has come. */
  beginRead(channel: Channel): void
  /** Copies what has been read; n, 0 at the end, or -errno. */
  finishRead(channel: Channel, into: Buffer): number
  /** Begins to write `channel.bytes` from `channel.written` on. */
  beginWrite(channel: Channel): void
  /** Tells how many bytes were written, or -errno. */
  finishWrite(channel: Channel): number
  /** Blocks, for a moment, until all that has begun can be finished. */
  settle(): void
  /** Gives back what it holds, all that has begun being finished. */
  free(): void
}

const NO_BYTES: Buffer = Buffer.alloc(0)

/** All that is under way on one descriptor. */
export class Channel {
  readonly fd: number
  /** True once nothing is told any more. */
  isClosed = false
  isCancelled = false
  acceptor: AcceptHandler | undefined
  reader: ReadHandler | undefined
  isPaused = false
  /** True from the begin of a transfer to its finish. */
  isReading = false
  writer: WriteHandler | undefined
  bytes: Uint8Array = NO_BYTES
  written = 0
  isWriting = false
  shutsDown = false
  watcher: WatchHandler | undefined
  /** What the demultiplexer watches it for; 0 where it does not. */
  interest = 0

  constructor(fd: number) {
    this.fd = fd
  }

  /** What it is to be watched for. */
  get wanted(): number {
    if (this.isClosed || this.isCancelled) return 0
    const reads = this.reader !== undefined && !this.isPaused
    const isReadable = reads || this.acceptor !== undefined || this.watcher !== undefined
    return (isReadable ? READABLE : 0) | (this.writer !== undefined && !this.isWriting ? WRITABLE : 0)
  }
}

/** Connections accepted in one go before others get their turn. */
const BURST = 64

/** Bytes that one read may bring. */
const READ_BYTES = 64 * 1024

/** Timers that run in one turn at most. */
const TIMERS = 1024

export class ReactiveProcessor implements AsynchronousOperationProcessor {
  readonly backend: Backend
  readonly mechanism: string
  readonly descriptors: readonly number[]
  readonly #demux: Demultiplexer
  readonly #transfers: Transfers
  readonly #channels: (Channel | undefined)[] = []
  /** Those that were cancelled and have not been told yet. */
  readonly #cancelled = new Set<Channel>()
  readonly #timers = new TimerHeap()
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  /** The completion event queue. */
  #events: (() => void)[] = []
  #isOpen = true

  /** Takes both over, and gives them back. */
  constructor(demux: Demultiplexer, transfers: Transfers) {
    this.#demux = demux
    this.#transfers = transfers
    this.backend = transfers.backend
    this.mechanism = `${transfers.mechanism}, on readiness told by ${demux.name}`
    this.descriptors = demux.descriptors
  }

  accept(fd: number, handler: AcceptHandler): void {
    const channel = this.#at(fd)
    channel.acceptor = handler
    this.#heed(channel)
  }

  read(fd: number, handler: ReadHandler): void {
    const channel = this.#at(fd)
    channel.reader = handler
    channel.isPaused = false
    this.#heed(channel)
  }

  pause(fd: number): void {
    const channel = this.#channels[fd]
    if (channel === undefined) return
    channel.isPaused = true
    this.#heed(channel)
  }

  write(fd: number, chunks: readonly Uint8Array[], handler: WriteHandler): number {
    const channel = this.#at(fd)
    if (channel.writer !== undefined) return -EAGAIN
    const size = chunks.reduce((sum, { length }) => sum + length, 0)
    const bytes = Buffer.allocUnsafe(Math.min(size, WRITE_BYTES))
    gather(chunks, bytes)
    return this.#write(channel, bytes, handler)
  }

  writeBytes(fd: number, bytes: Uint8Array, length: number, handler: WriteHandler): number {
    const channel = this.#at(fd)
    if (channel.writer !== undefined) return -EAGAIN
    return this.#write(channel, Buffer.from(bytes.subarray(0, Math.min(length, WRITE_BYTES))), handler)
  }

  watch(fd: number, handler: WatchHandler): void {
    const channel = this.#at(fd)
    channel.watcher = handler
    this.#heed(channel)
  }

  timer(ms: number, handler: TimerHandler): () => void {
    const timer = this.#timers.set(performance.now() + ms, 0, () => handler.expired())
    return () => void this.#timers.cancel(timer)
  }

  cancel(fd: number): void {
    const channel = this.#channels[fd]
    if (channel === undefined) return
    this.#channels[fd] = undefined // what is initiated from now on is another matter
    channel.isCancelled = true
    channel.watcher = undefined
    this.#cancelled.add(channel)
    this.#heed(channel)
    this.#events.push(() => this.#endCancelled(channel)) // behind what is complete already
  }

  shutdown(fd: number): void {
    const channel = this.#channels[fd]
    if (channel?.writer === undefined) shutdown(fd, SHUT_WR)
    else channel.shutsDown = true
  }

  close(fd: number): void {
    const channel = this.#channels[fd]
    if (channel !== undefined) {
      this.#channels[fd] = undefined
      channel.isClosed = true
      this.#transfers.settle()
      this.#heed(channel)
    }
    for (const each of this.#cancelled) if (each.fd === fd) each.isClosed = true
    close(fd)
  }

  wait(timeoutMs: number): number {
    const ready = this.#demux.wait(this.#events.length > 0 ? 0 : this.#shorter(timeoutMs))
    for (let i = 0; i < ready; i++) {
      const channel = this.#channels[this.#demux.fd(i)]
      if (channel !== undefined) this.#beginReady(channel, this.#demux.ready(i))
    }
    this.#transfers.settle()
    return this.#events.length + (this.#timers.next <= performance.now() ? 1 : 0)
  }

  dispatch(): void {
    const events = this.#events
    this.#events = []
    for (const event of events) event()
    this.#timers.run(performance.now(), TIMERS, (callback) => callback())
  }

  free(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    for (const channel of [...this.#channels, ...this.#cancelled]) if (channel !== undefined) channel.isClosed = true
    this.#transfers.settle()
    this.#timers.clear()
    this.dispatch() // finishes what has begun and tells nobody
    this.#transfers.free()
    this.#demux.close()
  }

  // transfers ---------------------------------------------------------------------------------------------------------

  #beginReady(channel: Channel, readiness: number): void {
    if (readiness & READABLE) {
      if (channel.watcher !== undefined) this.#events.push(() => channel.watcher?.ready(channel.fd))
      if (channel.acceptor !== undefined) this.#accept(channel)
      if (channel.reader !== undefined && !channel.isPaused && !channel.isReading) this.#beginRead(channel)
    }
    if (readiness & WRITABLE && channel.writer !== undefined && !channel.isWriting) this.#beginWrite(channel)
  }

  #accept(channel: Channel): void {
    for (let taken = 0; taken < BURST; taken++) {
      const result = accept4(channel.fd, true)
      if (result === -EAGAIN || result === -EINTR) return
      this.#events.push(() => this.#endAccept(channel, result))
      if (result < 0) return
    }
  }

  #endAccept(channel: Channel, result: number): void {
    const { acceptor } = channel
    if (result >= 0 && (channel.isClosed || acceptor === undefined)) close(result)
    if (channel.isClosed) return
    if (result < 0) channel.acceptor = undefined
    acceptor?.accepted(result, channel.fd)
    this.#heed(channel)
  }

  #beginRead(channel: Channel): void {
    channel.isReading = true
    this.#transfers.beginRead(channel)
    this.#events.push(() => this.#endRead(channel))
  }

  #endRead(channel: Channel): void {
    const result = this.#transfers.finishRead(channel, this.#buffer)
    const { reader } = channel
    channel.isReading = false
    if (channel.isClosed || reader === undefined || result === -EAGAIN || result === -EINTR) return
    if (result <= 0) channel.reader = undefined
    reader.received(channel.fd, this.#buffer, result)
    this.#heed(channel)
  }

  #write(channel: Channel, bytes: Uint8Array, handler: WriteHandler): number {
    channel.writer = handler
    channel.bytes = bytes
    channel.written = 0
    this.#beginWrite(channel)
    return bytes.length
  }

  #beginWrite(channel: Channel): void {
    channel.isWriting = true
    this.#transfers.beginWrite(channel)
    this.#events.push(() => this.#endWrite(channel))
  }

  #endWrite(channel: Channel): void {
    const result = this.#transfers.finishWrite(channel)
    channel.isWriting = false
    if (result > 0) channel.written += result
    if (channel.isClosed) return
    const isWhole = channel.written === channel.bytes.length
    if (isWhole) this.#tellWriter(channel, channel.written)
    else if (result < 0 && result !== -EAGAIN && result !== -EINTR) this.#tellWriter(channel, result)
    else this.#heed(channel)
  }

  #tellWriter(channel: Channel, result: number): void {
    const { writer, fd } = channel
    channel.writer = undefined
    channel.bytes = NO_BYTES
    this.#heed(channel)
    if (channel.shutsDown) shutdown(fd, SHUT_WR)
    channel.shutsDown = false
    writer?.sent(fd, result)
  }

  #endCancelled(channel: Channel): void {
    const { acceptor, reader, fd } = channel
    channel.acceptor = channel.reader = undefined
    this.#cancelled.delete(channel)
    if (channel.isClosed) return
    reader?.received(fd, NO_BYTES, -ECANCELED)
    acceptor?.accepted(-ECANCELED, fd)
    if (channel.writer !== undefined) this.#tellWriter(channel, -ECANCELED)
  }

  // channels ----------------------------------------------------------------------------------------------------------

  #at(fd: number): Channel {
    return (this.#channels[fd] ??= new Channel(fd))
  }

  /** Has the demultiplexer watch for what is wanted now. */
  #heed(channel: Channel): void {
    const { fd, interest, wanted } = channel
    if (wanted === interest) return
    channel.interest = wanted
    if (wanted === 0) this.#demux.remove(fd)
    else if (interest === 0) this.#demux.add(fd, wanted)
    else this.#demux.modify(fd, wanted)
  }

  #shorter(timeoutMs: number): number {
    const { next } = this.#timers
    if (next === Number.POSITIVE_INFINITY) return timeoutMs
    const left = Math.max(0, next - performance.now())
    return timeoutMs < 0 ? left : Math.min(left, timeoutMs)
  }
}
