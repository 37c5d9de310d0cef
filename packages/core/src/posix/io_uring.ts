/**
 * io_uring(7): operations are put into one ring, completions are taken from another, and one system call submits and waits.
 * Linux 6.0 or newer, of which the multishot receive is the youngest part.
 *
 *   accept(), receive(), send(), … ─▶ submission ring ─▶ enter() ─▶ kernel ─▶ completion ring ─▶ data, kind, result, next()
 *
 *   - Both rings are memory that the kernel shares. Each index has one writer; it is stored when what it covers is written.
 *   - An operation carries two numbers, `data` and `kind`, which its completions bring back.
 *   - A multishot operation has many completions, each but the last with `hasMore`. It ends by itself where it failed, or
 *     where the completion ring or the buffers ran out, and is then to be started again.
 *   - Completions that do not fit the ring are kept by the kernel and come with a later enter(): none is lost.
 *   - A full submission ring is submitted on the spot.
 *   - The memory of an operation must neither move nor be freed before its completion: memory of memory.ts, not of JavaScript.
 *
 * A ring belongs to the thread that opened it: it alone may submit and wait (IORING_SETUP_SINGLE_ISSUER).
 */
import { descriptor, integer, natural } from './bounds.js'
import { EINTR, EINVAL, ENOBUFS, ETIME, PosixError, UnsupportedError } from './errors.js'
import { check, declare, outcome } from './ffi.js'
import { close } from './file.js'
import { mmapPrivate, mmapShared, munmap, type Region } from './memory.js'
import { platform } from './platform.js'

// The C library has no functions for these calls; their numbers are the same on x64 and arm64.
const c = declare({
  setup: 'int syscall(long number, uint32_t entries, void* params)',
  enter:
    'int syscall(long number, int fd, uint32_t submit, uint32_t least, uint32_t flags, uintptr_t argument, size_t size)',
  register: 'int syscall(long number, int fd, uint32_t opcode, void* argument, uint32_t count)',
})

const SETUP = 425
const ENTER = 426
const REGISTER = 427

// Offsets in bytes within struct io_uring_params.
const PARAMS = {
  size: 120,
  sqEntries: 0,
  cqEntries: 4,
  flags: 8,
  features: 20,
  sqHead: 40,
  sqTail: 44,
  sqFlags: 56,
  sqArray: 64,
  cqHead: 80,
  cqTail: 84,
  cqes: 100,
} as const

/** Words of struct io_uring_sqe and struct io_uring_cqe. */
const SQE = 16
const CQE = 4

const SQES_AT = 0x10000000
const SQ_CQ_OVERFLOW = 2

const SETUP_CQSIZE = 1 << 3
const SETUP_SUBMIT_ALL = 1 << 7
const SETUP_COOP_TASKRUN = 1 << 8
const SETUP_SINGLE_ISSUER = 1 << 12
const SETUP_DEFER_TASKRUN = 1 << 13

/** From the best to the plainest: what a kernel does not know it refuses with EINVAL. */
const SETUPS: readonly (readonly [string, number])[] = [
  ['SINGLE_ISSUER|DEFER_TASKRUN', SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN],
  ['COOP_TASKRUN', SETUP_SUBMIT_ALL | SETUP_COOP_TASKRUN],
  ['', 0],
]

/** SINGLE_MMAP, NODROP, SUBMIT_STABLE, FAST_POLL, EXT_ARG, CQE_SKIP: without one of them this file does not work. */
const FEATURES = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 5) | (1 << 8) | (1 << 11)

const ENTER_GETEVENTS = 1
const ENTER_EXT_ARG = 8

const REGISTER_PROBE = 8
const REGISTER_PBUF_RING = 22
const UNREGISTER_PBUF_RING = 23

export const IORING_OP_POLL_ADD: number = 6
export const IORING_OP_TIMEOUT: number = 11
export const IORING_OP_ACCEPT: number = 13
export const IORING_OP_ASYNC_CANCEL: number = 14
export const IORING_OP_LINK_TIMEOUT: number = 15
export const IORING_OP_CLOSE: number = 19
export const IORING_OP_SEND: number = 26
export const IORING_OP_RECV: number = 27
export const IORING_OP_SHUTDOWN: number = 34

const OPERATIONS = [
  IORING_OP_POLL_ADD,
  IORING_OP_TIMEOUT,
  IORING_OP_ACCEPT,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_LINK_TIMEOUT,
  IORING_OP_CLOSE,
  IORING_OP_SEND,
  IORING_OP_RECV,
  IORING_OP_SHUTDOWN,
]

/** Bits of the first word, beside the opcode: those of `flags` are moved by 8, those of `ioprio` by 16. */
const IO_LINK = 1 << (2 + 8)
const BUFFER_SELECT = 1 << (5 + 8)
const CQE_SKIP_SUCCESS = 1 << (6 + 8)
const ACCEPT_MULTISHOT = 1 << (0 + 16)
const RECV_MULTISHOT = 1 << (1 + 16)

const POLL_ADD_MULTI = 1

const CQE_BUFFER = 1
const CQE_MORE = 2
const CQE_BUFFER_SHIFT = 16

/** What a ring is to be like. */
export interface IoUringSettings {
  /** Operations that fit before they must be submitted; a power of two. Default: 1024. */
  readonly entries?: number
  /** Completions that fit; a power of two from `entries` on. Default: four times as many. */
  readonly completions?: number
  /** Whether to do without the newer ways to run completions (COOP_TASKRUN, DEFER_TASKRUN). Default: false. */
  readonly plain?: boolean
}

/** A pair of rings. Owner thread only. */
export class IoUring {
  readonly fd: number
  /** The flags that this kernel took: 'SINGLE_ISSUER|DEFER_TASKRUN', 'COOP_TASKRUN' or ''. */
  readonly setup: string
  /** The size of the submission ring. */
  readonly entries: number
  readonly #rings: Region
  readonly #sqes: Region
  /** The argument of enter(), and behind it a timespec for each entry. */
  readonly #extra: Region
  readonly #ring: Int32Array
  readonly #sqe: Int32Array
  readonly #argument: Int32Array
  readonly #at: RingOffsets
  readonly #sqMask: number
  readonly #cqMask: number
  #tail = 0
  #head = 0
  #isOpen = true

  /**
   * Opens a ring. man 2 io_uring_setup
   * @throws PosixError where the kernel has none (ENOSYS) or forbids it (EPERM), UnsupportedError where it is too old
   */
  static open(settings: IoUringSettings = {}): IoUring {
    if (process.platform !== 'linux') throw new UnsupportedError('io_uring_setup()', 'io_uring(7) is a call of Linux')
    const { entries = 1024, completions = 4 * entries, plain = false } = settings
    const params = new DataView(new ArrayBuffer(PARAMS.size))
    for (const [setup, flags] of plain ? SETUPS.slice(-1) : SETUPS) {
      params.setUint32(PARAMS.flags, flags | SETUP_CQSIZE, true)
      params.setUint32(PARAMS.cqEntries, natural(completions, 'completions', 1), true)
      const fd = outcome(c.setup(SETUP, natural(entries, 'entries', 1), params))
      if (fd >= 0) return new IoUring(fd, setup, params)
      if (fd !== -EINVAL || setup === '') throw new PosixError('io_uring_setup', fd)
    }
    throw new PosixError('io_uring_setup', -EINVAL)
  }

  private constructor(fd: number, setup: string, params: DataView) {
    const at = offsetsIn(params)
    const mapped: Region[] = []
    const map = (region: Region): Region => {
      mapped.push(region)
      return region
    }
    this.fd = fd
    this.setup = setup
    this.entries = params.getUint32(PARAMS.sqEntries, true)
    const completions = params.getUint32(PARAMS.cqEntries, true)
    try {
      checkKernel(fd, params.getUint32(PARAMS.features, true))
      this.#rings = map(mmapShared(fd, 4 * Math.max(at.sqArray + this.entries, at.cqes + CQE * completions)))
      this.#sqes = map(mmapShared(fd, 4 * SQE * this.entries, SQES_AT))
      this.#extra = map(mmapPrivate(4 * (ARGUMENT + TIMESPEC * (1 + this.entries))))
    } catch (error) {
      for (const { address, size } of mapped) munmap(address, size)
      close(fd)
      throw error
    }
    this.#at = at
    this.#sqMask = this.entries - 1
    this.#cqMask = completions - 1
    this.#ring = new Int32Array(this.#rings.buffer)
    this.#sqe = new Int32Array(this.#sqes.buffer)
    this.#argument = new Int32Array(this.#extra.buffer)
    for (let i = 0; i < this.entries; i++) this.#ring[at.sqArray + i] = i
    setAddress(this.#argument, ARGUMENT_TIMESPEC, this.#extra.address + 4 * ARGUMENT)
  }

  // operations --------------------------------------------------------------------------------------------------------

  /** Accepts connections, close-on-exec and non-blocking, until it fails; each is a completion. man 3 io_uring_prep_accept */
  accept(fd: number, data: number, kind: number): void {
    const flags = platform.SOCK_CLOEXEC | platform.SOCK_NONBLOCK
    this.#prepare(IORING_OP_ACCEPT | ACCEPT_MULTISHOT, fd, 0, 0, flags, data, kind)
  }

  /**
   * Receives into buffers of a group (see {@link BufferRing}) until the end of the stream or a failure; each arrival is a
   * completion. -ENOBUFS: no buffer was left. man 3 io_uring_prep_recv_multishot
   */
  receive(fd: number, group: number, data: number, kind: number): void {
    this.#prepare(IORING_OP_RECV | BUFFER_SELECT | RECV_MULTISHOT, fd, 0, 0, 0, data, kind, group)
  }

  /** Receives once, up to `length` bytes, to an address; `isLinked` to the timeout that is prepared next. */
  receiveOnce(fd: number, address: number, length: number, data: number, kind: number, isLinked = false): void {
    if (isLinked && this.prepared >= this.entries - 1) this.#makeRoom() // a submission ends the chain
    this.#prepare(IORING_OP_RECV | (isLinked ? IO_LINK : 0), fd, address, length, 0, data, kind)
  }

  /** Sends `length` bytes at an address; the result may be fewer. Never raises SIGPIPE. man 3 io_uring_prep_send */
  send(fd: number, address: number, length: number, data: number, kind: number): void {
    this.#prepare(IORING_OP_SEND, fd, address, length, platform.MSG_NOSIGNAL, data, kind)
  }

  /** Waits until a descriptor is ready for `events` (POLL…), once or again and again. man 3 io_uring_prep_poll_add */
  poll(fd: number, events: number, data: number, kind: number, isMultishot = false): void {
    this.#prepare(IORING_OP_POLL_ADD, fd, 0, isMultishot ? POLL_ADD_MULTI : 0, events, data, kind)
  }

  /** Completes with -ETIME after `ms` milliseconds; fractions count. man 3 io_uring_prep_timeout */
  timeout(ms: number, data: number, kind: number): void {
    this.#time(IORING_OP_TIMEOUT, ms, data, kind)
  }

  /** Cancels the linked operation before it if it takes longer than `ms`. man 3 io_uring_prep_link_timeout */
  linkTimeout(ms: number, data: number, kind: number): void {
    this.#time(IORING_OP_LINK_TIMEOUT, ms, data, kind)
  }

  /** Ends one direction or both (SHUT_…); a completion comes only where that fails. man 3 io_uring_prep_shutdown */
  shutdown(fd: number, how: number, data: number, kind: number): void {
    this.#prepare(IORING_OP_SHUTDOWN | CQE_SKIP_SUCCESS, fd, 0, how, 0, data, kind)
  }

  /** Closes a descriptor; a completion comes only where that fails. man 3 io_uring_prep_close */
  close(fd: number, data: number, kind: number): void {
    this.#prepare(IORING_OP_CLOSE | CQE_SKIP_SUCCESS, fd, 0, 0, 0, data, kind)
  }

  /**
   * Cancels the operation that carries these numbers; its last completion has -ECANCELED unless it was complete already.
   * That it was so is the only completion of this one, with data 0 and `mine`. man 3 io_uring_prep_cancel
   */
  cancel(data: number, kind: number, mine: number): void {
    const sqe = this.#prepare(IORING_OP_ASYNC_CANCEL | CQE_SKIP_SUCCESS, -1, 0, 0, 0, 0, mine)
    this.#sqe[sqe + 4] = data
    this.#sqe[sqe + 5] = kind
  }

  /** Operations that are prepared and not yet submitted. */
  get prepared(): number {
    return (this.#tail - Atomics.load(this.#ring, this.#at.sqHead)) | 0
  }

  // the call ----------------------------------------------------------------------------------------------------------

  /**
   * Submits what is prepared and waits until a completion is there: at most `timeoutMs` (-1: for ever, 0: not at all).
   * Returns how many completions are there; 0 also where a signal came. man 2 io_uring_enter @throws PosixError
   */
  enter(timeoutMs: number): number {
    const ring = this.#ring
    const prepared = this.#publish()
    const least = this.ready > 0 || timeoutMs === 0 ? 0 : 1
    let n: number
    if (least === 0 || timeoutMs < 0) n = c.enter(ENTER, this.fd, prepared, least, ENTER_GETEVENTS, 0, 0)
    else {
      setTimespec(this.#argument, ARGUMENT, timeoutMs)
      const flags = ENTER_GETEVENTS | ENTER_EXT_ARG
      n = c.enter(ENTER, this.fd, prepared, least, flags, this.#extra.address, 4 * ARGUMENT)
    }
    if (n < 0) this.#checkEnter(outcome(n))
    // The kernel stores the tail after the completions before it.
    return (Atomics.load(ring, this.#at.cqTail) - this.#head) | 0
  }

  #checkEnter(n: number): void {
    if (n !== -EINTR && n !== -ETIME) throw new PosixError('io_uring_enter', n)
  }

  /** Makes what was prepared visible to the kernel, and the room of what was taken; returns how many are to be submitted. */
  #publish(): number {
    Atomics.store(this.#ring, this.#at.cqHead, this.#head)
    Atomics.store(this.#ring, this.#at.sqTail, this.#tail)
    return this.prepared
  }

  // completions -------------------------------------------------------------------------------------------------------

  /** Completions that are there to be taken. */
  get ready(): number {
    return (Atomics.load(this.#ring, this.#at.cqTail) - this.#head) | 0
  }

  /** True while the kernel keeps completions that had no room. */
  get overflowed(): boolean {
    return (Atomics.load(this.#ring, this.#at.sqFlags) & SQ_CQ_OVERFLOW) !== 0
  }

  /** The first number of the operation whose completion is the oldest; this and those below only where one is ready. */
  get data(): number {
    return this.#ring[this.#cqe(0)] as number
  }

  get kind(): number {
    return this.#ring[this.#cqe(1)] as number
  }

  /** n >= 0 or a negative errno. */
  get result(): number {
    return this.#ring[this.#cqe(2)] as number
  }

  /** False where this is the operation's last completion. */
  get hasMore(): boolean {
    return ((this.#ring[this.#cqe(3)] as number) & CQE_MORE) !== 0
  }

  /** The buffer that was received into; -1 where none was. */
  get buffer(): number {
    const flags = this.#ring[this.#cqe(3)] as number
    return (flags & CQE_BUFFER) === 0 ? -1 : flags >>> CQE_BUFFER_SHIFT
  }

  /** Takes the oldest completion away. */
  next(): void {
    this.#head = (this.#head + 1) | 0
  }

  #cqe(word: number): number {
    return this.#at.cqes + CQE * (this.#head & this.#cqMask) + word
  }

  // the end -----------------------------------------------------------------------------------------------------------

  /**
   * Unmaps the rings, and closes the descriptor unless somebody else is to. The kernel cancels what is under way, but not
   * at once: memory of operations may be freed only after their completions. A second call does nothing.
   */
  free(closes = true): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    for (const { address, size } of [this.#rings, this.#sqes, this.#extra]) munmap(address, size)
    if (closes) close(this.fd)
  }

  /** Fills the next entry of the submission ring and returns where it begins; a full ring is submitted first. */
  #prepare(
    operation: number,
    fd: number,
    address: number,
    length: number,
    flags: number,
    data: number,
    kind: number,
    group = 0,
  ): number {
    if (this.#isOpen === false) throw new RangeError('the ring was freed')
    if (((this.#tail - Atomics.load(this.#ring, this.#at.sqHead)) | 0) === this.entries) this.#makeRoom()
    const sqe = this.#sqe
    const at = SQE * (this.#tail & this.#sqMask)
    sqe[at] = operation
    sqe[at + 1] = descriptor(fd)
    sqe[at + 2] = 0
    sqe[at + 3] = 0
    setAddress(sqe, at + 4, address)
    sqe[at + 6] = length
    sqe[at + 7] = flags
    sqe[at + 8] = data
    sqe[at + 9] = kind
    sqe[at + 10] = group
    sqe[at + 11] = 0
    sqe[at + 12] = 0
    sqe[at + 13] = 0
    sqe[at + 14] = 0
    sqe[at + 15] = 0
    this.#tail = (this.#tail + 1) | 0
    return at
  }

  #time(operation: number, ms: number, data: number, kind: number): void {
    const at = this.#prepare(operation, -1, 0, 1, 0, data, kind)
    const timespec = ARGUMENT + TIMESPEC * (1 + at / SQE) // read by the kernel when the entry is submitted
    setTimespec(this.#argument, timespec, ms)
    setAddress(this.#sqe, at + 4, this.#extra.address + 4 * timespec)
  }

  #makeRoom(): void {
    const prepared = this.#publish()
    const n = outcome(c.enter(ENTER, this.fd, prepared, 0, 0, 0, 0))
    if (n < 0) this.#checkEnter(n)
    if (this.prepared === this.entries) throw new PosixError('io_uring_enter', -ENOBUFS)
  }
}

/** Where things lie in the rings, in 32-bit words. */
interface RingOffsets {
  readonly sqHead: number
  readonly sqTail: number
  readonly sqFlags: number
  readonly sqArray: number
  readonly cqHead: number
  readonly cqTail: number
  readonly cqes: number
}

function offsetsIn(params: DataView): RingOffsets {
  const word = (at: number): number => params.getUint32(at, true) >>> 2
  return {
    sqHead: word(PARAMS.sqHead),
    sqTail: word(PARAMS.sqTail),
    sqFlags: word(PARAMS.sqFlags),
    sqArray: word(PARAMS.sqArray),
    cqHead: word(PARAMS.cqHead),
    cqTail: word(PARAMS.cqTail),
    cqes: word(PARAMS.cqes),
  }
}

/** Words of struct io_uring_getevents_arg, that of its timespec's address, and words of struct __kernel_timespec. */
const ARGUMENT = 6
const ARGUMENT_TIMESPEC = 4
const TIMESPEC = 4

function checkKernel(fd: number, features: number): void {
  if ((features & FEATURES) !== FEATURES) throw new UnsupportedError('io_uring', 'it needs Linux 6.0 or newer')
  const known = probe(fd)
  const missing = OPERATIONS.filter((operation) => !known.has(operation))
  if (missing.length > 0) {
    throw new UnsupportedError(`the io_uring operations ${missing.join(', ')}`, 'it needs Linux 6.0 or newer')
  }
}

/** The operations that this kernel knows. man 2 io_uring_register, IORING_REGISTER_PROBE */
function probe(fd: number): ReadonlySet<number> {
  const MOST = 64
  const HEAD = 16
  const ENTRY = 8
  const view = new DataView(new ArrayBuffer(HEAD + ENTRY * MOST)) // struct io_uring_probe
  check(c.register(REGISTER, fd, REGISTER_PROBE, view, MOST), 'io_uring_register')
  const known = new Set<number>()
  for (let i = 0; i < view.getUint8(1); i++) {
    const at = HEAD + ENTRY * i
    if ((view.getUint16(at + 2, true) & 1) !== 0) known.add(view.getUint8(at))
  }
  return known
}

/** Stores an address, which lies below 2^53, as two words. */
function setAddress(words: Int32Array, at: number, address: number): void {
  words[at] = address // to a typed array it is taken modulo 2^32
  words[at + 1] = address / 0x1_0000_0000
}

function setTimespec(words: Int32Array, at: number, ms: number): void {
  const seconds = Math.floor(ms / 1000)
  words[at] = seconds
  words[at + 1] = 0
  words[at + 2] = Math.ceil((ms - 1000 * seconds) * 1e6)
  words[at + 3] = 0
}

/**
 * Buffers that a ring's receives pick from, so that a connection that waits holds none. A buffer belongs to whoever took
 * the completion that names it, until it is given back. man 3 io_uring_setup_buf_ring
 *
 * The group must be freed after the ring's operations have ended, and before the ring.
 */
export class BufferRing {
  readonly group: number
  readonly count: number
  /** The buffers by number, each of the size that was asked for. */
  readonly buffers: readonly Buffer[]
  readonly #ring: IoUring
  readonly #size: number
  readonly #region: Region
  readonly #words: Int32Array
  readonly #shorts: Uint16Array
  readonly #start: number
  #tail = 0

  /** Registers `count` buffers (a power of two, at most 32768) of `size` bytes. @throws PosixError */
  constructor(ring: IoUring, group: number, count: number, size: number) {
    this.#ring = ring
    this.group = integer(natural(group, 'group'), 'group')
    this.count = natural(count, 'count', 1)
    this.#size = natural(size, 'size', 1)
    this.#start = pages(4 * BUFFER * count)
    this.#region = mmapPrivate(this.#start + pages(count * size))
    this.#words = new Int32Array(this.#region.buffer, 0, BUFFER * count)
    this.#shorts = new Uint16Array(this.#region.buffer, 0, 2 * BUFFER * count)
    try {
      this.#register(REGISTER_PBUF_RING)
    } catch (error) {
      munmap(this.#region.address, this.#region.size)
      throw error
    }
    this.buffers = Array.from({ length: count }, (_, i) =>
      Buffer.from(this.#region.buffer, this.#start + i * size, size),
    )
    for (let i = 0; i < count; i++) this.giveBack(i)
    this.publish()
  }

  /** Lets the kernel have a buffer again, once {@link publish} is called. */
  giveBack(id: number): void {
    const at = BUFFER * (this.#tail & (this.count - 1))
    setAddress(this.#words, at, this.#region.address + this.#start + id * this.#size)
    this.#words[at + 2] = this.#size
    this.#shorts[2 * at + 6] = id // not the last half-word: that of the first entry is the ring's tail
    this.#tail = (this.#tail + 1) & 0xffff
  }

  /** Shows the kernel the buffers that were given back. */
  publish(): void {
    Atomics.store(this.#shorts, BUFFER_TAIL, this.#tail) // after the entries before it
  }

  free(): void {
    this.#register(UNREGISTER_PBUF_RING)
    munmap(this.#region.address, this.#region.size)
  }

  #register(opcode: number): void {
    const view = new DataView(new ArrayBuffer(40)) // struct io_uring_buf_reg
    view.setBigUint64(0, BigInt(this.#region.address), true)
    view.setUint32(8, this.count, true)
    view.setUint16(12, this.group, true)
    check(c.register(REGISTER, this.#ring.fd, opcode, view, 1), 'io_uring_register')
  }
}

/** Words of struct io_uring_buf, and the half-word of the ring's tail. */
const BUFFER = 4
const BUFFER_TAIL = 7

const PAGE = 4096

function pages(size: number): number {
  return Math.ceil(size / PAGE) * PAGE
}
