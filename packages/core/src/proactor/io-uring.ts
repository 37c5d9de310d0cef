/**
 * Asynchronous operations by io_uring(7): the kernel executes them, and its rings are the queues. One system call a turn.
 *
 * Accepts and reads are multishot: started once, they complete again and again. Reads pick their buffers from a ring that all
 * descriptors share, so a connection that waits holds no memory. A write copies its bytes to a buffer that is its own until
 * the kernel says that it is done with it.
 *
 * A completion names an operation by the number of its channel, never by its descriptor, and a channel's number is free again
 * only after the last completion of its last operation.
 */

import {
  BufferRing,
  close,
  EAGAIN,
  ECANCELED,
  EINTR,
  ENOBUFS,
  ETIME,
  IoUring,
  type IoUringSettings,
  mmapPrivate,
  munmap,
  POLLIN,
  type Region,
  SHUT_WR,
  send,
  shutdown,
  socketpair,
  UnsupportedError,
} from '../posix/index.js'
import {
  type AcceptHandler,
  type AsynchronousOperationProcessor,
  gather,
  type ReadHandler,
  type TimerHandler,
  type WatchHandler,
  WRITE_BYTES,
  type WriteHandler,
} from './processor.js'

/** How large the rings and the buffers are. */
export interface IoUringProcessorSettings extends IoUringSettings {
  /** Buffers that reads share, a power of two. Default: 256. */
  readonly buffers?: number
  /** Bytes of one. Default: 16384. */
  readonly bufferBytes?: number
}

/** The kinds of operations, as a completion names them. */
const ACCEPT = 1
const READ = 2
const WRITE = 3
const WATCH = 4
const TIMER = 5
/** Operations whose success does not complete and whose failure means nothing. */
const UNHEEDED = 6

const GROUP = 0

/** What an operation that completes many times is doing in the kernel. */
const OFF = 0
const UNDER_WAY = 1
const ENDING = 2

const NO_BYTES = Buffer.alloc(0)

/** All that is under way on one descriptor, or a timer. */
class Channel {
  readonly id: number
  readonly fd: number
  /** True once nothing is told any more. */
  isClosed = false
  /** Operations whose last completion has not come. */
  operations = 0
  acceptor: AcceptHandler | undefined
  reader: ReadHandler | undefined
  reading = OFF
  isPaused = false
  /** True once the read that was begun last has brought something. */
  isFed = false
  isCancelled = false
  writer: WriteHandler | undefined
  buffer: WriteBuffer | undefined
  written = 0
  size = 0
  isWriteCancelled = false
  shutsDown = false
  watcher: WatchHandler | undefined
  isWatching = false
  timer: TimerHandler | undefined

  constructor(id: number, fd: number) {
    this.id = id
    this.fd = fd
  }

  /** True where nothing is under way, and nobody waits for it to go on. */
  get isOver(): boolean {
    return this.operations === 0 && (this.isClosed || !(this.acceptor || this.reader || this.watcher || this.timer))
  }
}

export class IoUringProcessor implements AsynchronousOperationProcessor {
  readonly backend = 'io_uring'
  readonly mechanism: string
  readonly descriptors: readonly number[]
  readonly #ring: IoUring
  readonly #readBuffers: BufferRing
  readonly #writeBuffers = new WriteBuffers()
  readonly #channels: (Channel | undefined)[] = []
  readonly #freeIds: number[] = []
  readonly #byFd: (Channel | undefined)[] = []
  /** Those whose read ended since there was no buffer: that wait for one, that have waited in vain, that had one before. */
  #starved: Channel[] = []
  #unfed: Channel[] = []
  #fed: Channel[] = []
  readonly #onExit = (): void => this.#endAtExit()
  #operations = 0
  #completed = 0
  #hasEnded = false

  /** @throws PosixError or UnsupportedError where this machine has no io_uring, forbids it, or has one that is too old */
  constructor({ buffers = 256, bufferBytes = 16 * 1024, ...settings }: IoUringProcessorSettings = {}) {
    this.#ring = IoUring.open(settings)
    try {
      this.#readBuffers = new BufferRing(this.#ring, GROUP, buffers, bufferBytes)
    } catch (error) {
      this.#ring.free()
      throw error
    }
    const { fd, setup } = this.#ring
    this.descriptors = [fd]
    this.mechanism = `io_uring(7)${setup && ` with ${setup}`}`
    try {
      this.#tryOut()
    } catch (error) {
      this.#end(true)
      throw error
    }
    process.once('exit', this.#onExit) // a thread that dies would leave its mappings, and by them its connections, open
  }

  accept(fd: number, handler: AcceptHandler): void {
    const channel = this.#at(fd)
    channel.acceptor = handler
    channel.isCancelled = false
    this.#begin(channel)
    this.#ring.accept(fd, channel.id, ACCEPT)
  }

  read(fd: number, handler: ReadHandler): void {
    const channel = this.#at(fd)
    channel.reader = handler
    channel.isPaused = channel.isCancelled = false
    if (channel.reading === OFF) this.#read(channel)
  }

  pause(fd: number): void {
    const channel = this.#byFd[fd]
    if (channel === undefined) return
    channel.isPaused = true
    this.#stopReading(channel)
  }

  write(fd: number, chunks: readonly Uint8Array[], handler: WriteHandler): number {
    const channel = this.#at(fd)
    if (channel.writer !== undefined) return -EAGAIN
    channel.buffer = this.#writeBuffers.take()
    return this.#write(channel, gather(chunks, channel.buffer.bytes), handler)
  }

  writeBytes(fd: number, bytes: Uint8Array, length: number, handler: WriteHandler): number {
    const channel = this.#at(fd)
    if (channel.writer !== undefined) return -EAGAIN
    channel.buffer = this.#writeBuffers.take()
    const size = Math.min(length, WRITE_BYTES)
    channel.buffer.bytes.set(bytes.subarray(0, size))
    return this.#write(channel, size, handler)
  }

  watch(fd: number, handler: WatchHandler): void {
    const channel = this.#at(fd)
    channel.watcher = handler
    if (!channel.isWatching) this.#watch(channel)
  }

  timer(ms: number, handler: TimerHandler): () => void {
    const channel = this.#open(-1)
    channel.timer = handler
    this.#begin(channel)
    this.#ring.timeout(ms, channel.id, TIMER)
    return () => {
      if (channel.timer === undefined) return
      channel.timer = undefined
      this.#ring.cancel(channel.id, TIMER, UNHEEDED)
    }
  }

  cancel(fd: number): void {
    const channel = this.#byFd[fd]
    if (channel === undefined) return
    channel.isCancelled = channel.isWriteCancelled = true
    this.#cancel(channel)
    channel.watcher = undefined
    if (channel.reading === OFF) this.#endReading(channel) // it was paused
    this.#releaseIfOver(channel)
  }

  /** By the call itself: io_uring would start a thread for it. */
  shutdown(fd: number): void {
    const channel = this.#byFd[fd]
    if (channel?.writer === undefined) shutdown(fd, SHUT_WR)
    else channel.shutsDown = true
  }

  close(fd: number): void {
    const channel = this.#byFd[fd]
    if (channel !== undefined) {
      this.#byFd[fd] = undefined
      channel.isClosed = true
      this.#cancel(channel)
      this.#releaseIfOver(channel)
    }
    this.#ring.close(fd, 0, UNHEEDED) // behind the writes that were prepared: they come first
  }

  wait(timeoutMs: number): number {
    this.#readBuffers.publish()
    if (this.#unfed.length + this.#starved.length + this.#fed.length > 0) this.#feed()
    this.#completed = this.#ring.enter(this.#starved.length > 0 ? 0 : timeoutMs)
    return this.#completed
  }

  dispatch(): void {
    const ring = this.#ring
    for (let left = this.#completed; left > 0; left--) {
      const { data, kind, result, hasMore, buffer } = ring
      ring.next()
      if (kind === UNHEEDED) continue
      const channel = this.#channels[data]!
      if (!hasMore) this.#ended(channel)
      this.#complete(channel, kind, result, hasMore, buffer)
      if (buffer >= 0) this.#readBuffers.giveBack(buffer)
      if (!hasMore) this.#releaseIfOver(channel)
    }
    this.#completed = 0
  }

  free(): void {
    this.#end(true)
  }

  // operations --------------------------------------------------------------------------------------------------------

  #read(channel: Channel): void {
    channel.reading = UNDER_WAY
    channel.isFed = false
    this.#begin(channel)
    this.#ring.receive(channel.fd, GROUP, channel.id, READ)
  }

  /** Has as many read on as there are buffers, those first that got none, so that a few that send much starve nobody. */
  #feed(): void {
    this.#starved = [...this.#unfed, ...this.#starved, ...this.#fed]
    this.#unfed = []
    this.#fed = []
    for (const channel of this.#starved.splice(0, this.#readBuffers.count)) {
      if (channel.reader !== undefined && channel.reading === OFF && !channel.isPaused && !channel.isClosed) {
        this.#read(channel)
      }
    }
  }

  #stopReading(channel: Channel): void {
    if (channel.reading !== UNDER_WAY) return
    channel.reading = ENDING
    this.#ring.cancel(channel.id, READ, UNHEEDED)
  }

  #write(channel: Channel, size: number, handler: WriteHandler): number {
    channel.writer = handler
    channel.written = 0
    channel.size = size
    channel.isWriteCancelled = false
    this.#send(channel)
    return size
  }

  #send(channel: Channel): void {
    const { id, fd, buffer, written, size } = channel
    this.#begin(channel)
    this.#ring.send(fd, buffer!.address + written, size - written, id, WRITE)
  }

  /** Once, and again after each completion: so it is told as long as it lasts, and not only when it comes. */
  #watch(channel: Channel): void {
    channel.isWatching = true
    this.#begin(channel)
    this.#ring.poll(channel.fd, POLLIN, channel.id, WATCH)
  }

  #cancel(channel: Channel): void {
    if (channel.operations === 0) return
    if (channel.acceptor !== undefined) this.#ring.cancel(channel.id, ACCEPT, UNHEEDED)
    if (channel.isWatching) this.#ring.cancel(channel.id, WATCH, UNHEEDED)
    if (channel.timer !== undefined) this.#ring.cancel(channel.id, TIMER, UNHEEDED)
    if (channel.writer !== undefined) this.#ring.cancel(channel.id, WRITE, UNHEEDED)
    this.#stopReading(channel)
  }

  // completions -------------------------------------------------------------------------------------------------------

  #complete(channel: Channel, kind: number, result: number, hasMore: boolean, buffer: number): void {
    if (kind === READ) this.#completeRead(channel, result, hasMore, buffer)
    else if (kind === WRITE) this.#completeWrite(channel, result)
    else if (kind === ACCEPT) this.#completeAccept(channel, result, hasMore)
    else if (kind === WATCH) this.#completeWatch(channel, result)
    else this.#completeTimer(channel, result)
  }

  #completeRead(channel: Channel, result: number, hasMore: boolean, buffer: number): void {
    const { reader } = channel
    if (!hasMore) channel.reading = OFF
    if (channel.isClosed || reader === undefined) return
    channel.isFed ||= result > 0
    if (result > 0) reader.received(channel.fd, this.#readBuffers.buffers[buffer]!, result)
    else if (result !== -ENOBUFS && result !== -EINTR && result !== -ECANCELED) {
      channel.reader = undefined
      return reader.received(channel.fd, NO_BYTES, result)
    }
    if (channel.reading !== OFF || channel.isClosed) return
    if (channel.isCancelled) this.#endReading(channel)
    else if (result === -ENOBUFS) (channel.isFed ? this.#fed : this.#unfed).push(channel)
    else if (!channel.isPaused) this.#read(channel)
  }

  #endReading(channel: Channel): void {
    const { reader } = channel
    channel.reader = undefined
    reader?.received(channel.fd, NO_BYTES, -ECANCELED)
  }

  #completeWrite(channel: Channel, result: number): void {
    const { writer } = channel
    if (result > 0) channel.written += result
    const isWhole = channel.written === channel.size
    if (!isWhole && !channel.isClosed && !channel.isWriteCancelled && (result > 0 || result === -EINTR)) {
      return this.#send(channel)
    }
    this.#writeBuffers.giveBack(channel.buffer!)
    channel.buffer = channel.writer = undefined
    if (channel.isClosed) return
    if (channel.shutsDown) shutdown(channel.fd, SHUT_WR)
    channel.shutsDown = false
    writer!.sent(channel.fd, isWhole ? channel.size : result > 0 ? -ECANCELED : result)
  }

  #completeAccept(channel: Channel, result: number, hasMore: boolean): void {
    const { acceptor } = channel
    if (channel.isClosed) {
      if (result >= 0) close(result)
      return
    }
    if (result >= 0) acceptor!.accepted(result, channel.fd)
    if (hasMore || channel.isClosed) return
    if (result >= 0 && !channel.isCancelled) return this.accept(channel.fd, acceptor!)
    channel.acceptor = undefined
    acceptor!.accepted(result >= 0 ? -ECANCELED : result, channel.fd)
  }

  #completeWatch(channel: Channel, result: number): void {
    channel.isWatching = false
    if (result >= 0 && !channel.isClosed) channel.watcher?.ready(channel.fd)
    if (channel.watcher !== undefined && !channel.isClosed && !channel.isWatching) this.#watch(channel)
  }

  #completeTimer(channel: Channel, result: number): void {
    const { timer } = channel
    channel.timer = undefined
    if (result === -ETIME) timer?.expired()
  }

  // channels ----------------------------------------------------------------------------------------------------------

  #at(fd: number): Channel {
    return (this.#byFd[fd] ??= this.#open(fd))
  }

  #open(fd: number): Channel {
    const id = this.#freeIds.pop() ?? this.#channels.length
    const channel = new Channel(id, fd)
    this.#channels[id] = channel
    return channel
  }

  #begin(channel: Channel): void {
    channel.operations++
    this.#operations++
  }

  #ended(channel: Channel): void {
    channel.operations--
    this.#operations--
  }

  #releaseIfOver(channel: Channel): void {
    if (!channel.isOver || this.#channels[channel.id] !== channel) return
    this.#channels[channel.id] = undefined
    this.#freeIds.push(channel.id)
    if (this.#byFd[channel.fd] === channel) this.#byFd[channel.fd] = undefined
  }

  // the beginning and the end -----------------------------------------------------------------------------------------

  /** A kernel that knows the operation may still not know its multishot kind, and no probe tells. */
  #tryOut(): void {
    const [ours, theirs] = socketpair({ nonblocking: true })
    let result = 0
    try {
      this.read(ours, { received: (_fd, _bytes, n) => void (result = n) })
      send(theirs, ONE_BYTE, 0, 1)
      this.wait(TRY_OUT_MS)
      this.dispatch()
    } finally {
      this.close(ours)
      close(theirs)
    }
    this.wait(this.#operations > 0 ? TRY_OUT_MS : 0)
    this.dispatch()
    if (result !== 1) throw new UnsupportedError('multishot receive of io_uring', 'it needs Linux 6.0 or newer')
  }

  /** The descriptor is closed by whoever closes those of dead threads, and may be closed already. */
  #endAtExit(): void {
    try {
      this.#end(false)
    } catch {
      // nobody is left to be told
    }
  }

  /** Memory may be given back only when no operation can write to it any more. */
  #end(closes: boolean): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    process.off('exit', this.#onExit)
    for (const channel of this.#channels) {
      if (channel === undefined) continue
      channel.isClosed = true
      this.#cancel(channel)
    }
    for (let tries = 0; tries === 0 || (this.#operations > 0 && tries < END_TRIES); tries++) {
      this.wait(this.#operations > 0 ? END_MS : 0)
      this.dispatch()
    }
    if (this.#operations === 0) {
      this.#readBuffers.free()
      this.#writeBuffers.free()
    }
    this.#ring.free(closes)
  }
}

const ONE_BYTE = new Uint8Array(1)

/** Milliseconds that the kernel gets for what it does at once. */
const TRY_OUT_MS = 1000

/** Milliseconds and times that are waited for operations that were cancelled. */
const END_MS = 20
const END_TRIES = 50

/** Memory from which one write is sent; it belongs to the operation until its completion. */
interface WriteBuffer {
  readonly address: number
  readonly bytes: Buffer
}

/** Buffers that are mapped at once. */
const WRITE_BUFFERS = 64

/** Write buffers, as many as are in use at the same time; the last one used is the next, since it is in the cache. */
class WriteBuffers {
  readonly #regions: Region[] = []
  readonly #free: WriteBuffer[] = []

  take(): WriteBuffer {
    if (this.#free.length === 0) this.#map()
    return this.#free.pop()!
  }

  giveBack(buffer: WriteBuffer): void {
    this.#free.push(buffer)
  }

  free(): void {
    for (const { address, size } of this.#regions.splice(0)) munmap(address, size)
  }

  #map(): void {
    const region = mmapPrivate(WRITE_BUFFERS * WRITE_BYTES)
    this.#regions.push(region)
    for (let at = region.size - WRITE_BYTES; at >= 0; at -= WRITE_BYTES) {
      this.#free.push({ address: region.address + at, bytes: Buffer.from(region.buffer, at, WRITE_BYTES) })
    }
  }
}
