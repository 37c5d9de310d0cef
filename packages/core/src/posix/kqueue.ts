/**
 * kqueue(2): one queue of events of many kinds, changed and waited for by one call, kevent(2).
 *
 * The numbers used above this file are FreeBSD's; where a system has others, `KeventList` translates them. Three places
 * have kqueue: macOS and FreeBSD in their C library, Linux in libkqueue if that is installed. Written from the headers;
 * not yet tested on macOS and FreeBSD, nor with libkqueue, which no current Debian carries.
 */
import { descriptor, integer, natural, timeout } from './bounds.js'
import { PosixError } from './errors.js'
import { declare, lastError, outcome } from './ffi.js'
import { setCloseOnExec } from './file.js'
import { platform } from './platform.js'

/** ident, a descriptor, can be read; data: how many bytes, or connections. */
export const EVFILT_READ: number = -1
/** ident, a descriptor, can be written; data: how many bytes. */
export const EVFILT_WRITE: number = -2
/** ident, a descriptor of a file: what happens to it, NOTE_DELETE to NOTE_RENAME. */
export const EVFILT_VNODE: number = -4
/** ident, a process: NOTE_EXIT, NOTE_FORK, NOTE_EXEC; data: the wait status. */
export const EVFILT_PROC: number = -5
/** ident, a signal; data: how often it came. */
export const EVFILT_SIGNAL: number = -6
/** ident, any number: a timer of `data` milliseconds, unless NOTE_… says otherwise; data: how often it expired. */
export const EVFILT_TIMER: number = -7
/** ident, any number: triggered by a change with NOTE_TRIGGER. */
export const EVFILT_USER: number = -11

/** Take it up, or change it; enables it. */
export const EV_ADD: number = 0x1
export const EV_DELETE: number = 0x2
export const EV_ENABLE: number = 0x4
/** Keep it, and keep silent about it. */
export const EV_DISABLE: number = 0x8
/** Delete it when it has been told once. */
export const EV_ONESHOT: number = 0x10
/** Tell a change, not a state. */
export const EV_CLEAR: number = 0x20
/** Answer this change with EV_ERROR, data 0 where it succeeded. */
export const EV_RECEIPT: number = 0x40
/** Disable it when it has been told once. */
export const EV_DISPATCH: number = 0x80
/** A change failed; data: its errno. */
export const EV_ERROR: number = 0x4000
/** The peer will send no more, or reads no more; the process has ended. */
export const EV_EOF: number = 0x8000

// EVFILT_VNODE
/** Its name was removed. */
export const NOTE_DELETE: number = 0x1
export const NOTE_WRITE: number = 0x2
/** It grew. */
export const NOTE_EXTEND: number = 0x4
export const NOTE_ATTRIB: number = 0x8
/** Its number of links changed. */
export const NOTE_LINK: number = 0x10
export const NOTE_RENAME: number = 0x20
export const NOTE_REVOKE: number = 0x40

// EVFILT_PROC
export const NOTE_EXIT: number = 0x80000000
export const NOTE_FORK: number = 0x40000000
export const NOTE_EXEC: number = 0x20000000

// EVFILT_TIMER: the unit of data, and what it counts from
export const NOTE_SECONDS: number = 0x1
/** The default. */
export const NOTE_MSECONDS: number = 0x2
export const NOTE_USECONDS: number = 0x4
export const NOTE_NSECONDS: number = 0x8
/** data is a time since 1970, not an interval; it expires once. */
export const NOTE_ABSTIME: number = 0x10

// EVFILT_USER: the two top bits say what happens to the 24 low ones
export const NOTE_FFNOP: number = 0
export const NOTE_FFAND: number = 0x40000000
export const NOTE_FFOR: number = 0x80000000
export const NOTE_FFCOPY: number = 0xc0000000
export const NOTE_FFCTRLMASK: number = 0xc0000000
export const NOTE_FFLAGSMASK: number = 0xffffff
export const NOTE_TRIGGER: number = 0x1000000

/** Numbers and layout of `struct kevent` in one place that has it; offsets and sizes in bytes. */
export interface KeventTable {
  readonly size: number
  /** uintptr_t */
  readonly ident: number
  /** int16_t */
  readonly filter: number
  /** uint16_t */
  readonly flags: number
  /** uint32_t */
  readonly fflags: number
  /** int64_t */
  readonly data: number
  /** void* */
  readonly udata: number
  readonly EVFILT_USER: number
  readonly NOTE_SECONDS: number
  readonly NOTE_MSECONDS: number
  readonly NOTE_USECONDS: number
  readonly NOTE_NSECONDS: number
  readonly NOTE_ABSTIME: number
  /** What must go with NOTE_EXIT for `data` to be the wait status. */
  readonly NOTE_EXITSTATUS: number
}

const freebsd: KeventTable = {
  size: 64, // from 12 on: four 64-bit words `ext` follow udata
  ident: 0,
  filter: 8,
  flags: 10,
  fflags: 12,
  data: 16,
  udata: 24,
  EVFILT_USER,
  NOTE_SECONDS,
  NOTE_MSECONDS,
  NOTE_USECONDS,
  NOTE_NSECONDS,
  NOTE_ABSTIME,
  NOTE_EXITSTATUS: 0,
}

const darwin: KeventTable = {
  ...freebsd,
  size: 32,
  EVFILT_USER: -10,
  NOTE_SECONDS: 0x1,
  NOTE_MSECONDS: 0, // what no NOTE_ says
  NOTE_USECONDS: 0x2,
  NOTE_NSECONDS: 0x4,
  NOTE_ABSTIME: 0x8, // NOTE_ABSOLUTE
  NOTE_EXITSTATUS: 0x4000000,
}

/** The tables by place; 'emulated' has FreeBSD's numbers in 32 bytes. */
export const keventTables: Readonly<Record<'freebsd' | 'darwin' | 'libkqueue' | 'emulated', KeventTable>> = {
  freebsd,
  darwin,
  libkqueue: { ...darwin, EVFILT_USER: -11 },
  emulated: { ...freebsd, size: 32 },
}

const HALF = 2 ** 32

const units = ['NOTE_SECONDS', 'NOTE_MSECONDS', 'NOTE_USECONDS', 'NOTE_NSECONDS', 'NOTE_ABSTIME'] as const

function translate(notes: number, from: KeventTable, to: KeventTable): number {
  let found = 0
  for (const unit of units) if (notes & from[unit]) found |= to[unit]
  return found
}

/** Computes the data of a READ or WRITE event, where that costs a system call, for who asks for it. */
export type Measure = (ident: number, filter: number) => number

/**
 * Room for changes, or for events, of kevent(2); it hides the layout of `struct kevent`. Numbers beyond 2^53 lose their
 * last digits. Belongs to one thread.
 */
export class KeventList {
  /** How many entries there are. */
  readonly capacity: number
  /** The structures as the kernel reads and writes them; for kevent(2) alone. */
  readonly words: Int32Array
  readonly #shorts: Int16Array
  readonly #table: KeventTable
  readonly #measure: Measure | undefined
  readonly #wordStride: number
  readonly #shortStride: number

  /** Makes room for `capacity` entries, from 1 on. @throws RangeError */
  constructor(capacity: number, table: KeventTable, measure?: Measure) {
    this.capacity = natural(capacity, 'capacity', 1)
    this.words = new Int32Array((capacity * table.size) >> 2)
    this.#shorts = new Int16Array(this.words.buffer)
    this.#table = table
    this.#measure = measure
    this.#wordStride = table.size >> 2
    this.#shortStride = table.size >> 1
  }

  /** Fills entry `i`, which is below the capacity. @throws RangeError */
  set(i: number, ident: number, filter: number, flags: number, fflags = 0, data = 0, udata = 0): void {
    if (i >>> 0 !== i || i >= this.capacity) throw new RangeError(`entry ${i} of ${this.capacity}`)
    const table = this.#table
    const word = i * this.#wordStride
    const short = i * this.#shortStride
    this.#setWide(word + (table.ident >> 2), ident)
    this.#shorts[short + (table.filter >> 1)] = filter === EVFILT_USER ? table.EVFILT_USER : filter
    this.#shorts[short + (table.flags >> 1)] = flags
    this.words[word + (table.fflags >> 2)] = this.#encode(filter, fflags)
    this.#setWide(word + (table.data >> 2), data)
    this.#setWide(word + (table.udata >> 2), udata)
  }

  ident(i: number): number {
    return this.#wide(i * this.#wordStride + (this.#table.ident >> 2))
  }

  filter(i: number): number {
    const filter = this.#shorts[i * this.#shortStride + (this.#table.filter >> 1)] as number
    return filter === this.#table.EVFILT_USER ? EVFILT_USER : filter
  }

  flags(i: number): number {
    return (this.#shorts[i * this.#shortStride + (this.#table.flags >> 1)] as number) & 0xffff
  }

  /** Returns the NOTE_… bits of entry `i` as a number from 0 on. */
  fflags(i: number): number {
    const fflags = this.words[i * this.#wordStride + (this.#table.fflags >> 2)] as number
    if (this.filter(i) === EVFILT_TIMER) return translate(fflags, this.#table, freebsd)
    return fflags >>> 0
  }

  data(i: number): number {
    const filter = this.filter(i)
    if (this.#measure !== undefined && filter >= EVFILT_WRITE && (this.flags(i) & EV_ERROR) === 0) {
      return this.#measure(this.ident(i), filter)
    }
    return this.#wide(i * this.#wordStride + (this.#table.data >> 2))
  }

  udata(i: number): number {
    return this.#wide(i * this.#wordStride + (this.#table.udata >> 2))
  }

  #encode(filter: number, fflags: number): number {
    if (filter === EVFILT_TIMER) return translate(fflags, freebsd, this.#table)
    if (filter === EVFILT_PROC && fflags & NOTE_EXIT) return fflags | this.#table.NOTE_EXITSTATUS
    return fflags
  }

  #setWide(word: number, value: number): void {
    this.words[word] = value
    this.words[word + 1] = Math.floor(value / HALF)
  }

  #wide(word: number): number {
    return (this.words[word + 1] as number) * HALF + ((this.words[word] as number) >>> 0)
  }
}

/** kqueue(2) and kevent(2) of one library. */
export interface KqueueCalls {
  /** What its KeventLists are laid out by. */
  readonly table: KeventTable
  /** Makes a queue, close-on-exec. Any thread. man 2 kqueue @throws PosixError, UnsupportedError */
  kqueue(): number
  /**
   * Applies the first `nchanges` changes, then waits until there is an event and fills `events` with at most `capacity`;
   * returns how many, 0 after `timeoutMs` (-1: for ever, 0: not at all), or a negative errno. A change that fails is
   * told as an event with EV_ERROR, and nothing else is told then; where there is no room its errno is returned. Any
   * thread, each with lists of its own. man 2 kevent @throws RangeError
   */
  kevent(
    kq: number,
    changes: KeventList,
    nchanges: number,
    events: KeventList,
    capacity: number,
    timeoutMs: number,
  ): number
}

const prototypes = {
  kqueue: 'int kqueue()',
  kevent: 'int kevent(int kq, void* changes, int nchanges, void* events, int nevents, void* timeout)',
} as const

// struct timespec { int64_t seconds, nanoseconds }, low halves first.
const timespec = new Int32Array(4)

function timespecOf(timeoutMs: number): Int32Array | null {
  const ms = timeout(timeoutMs)
  if (ms < 0) return null
  timespec[0] = Math.trunc(ms / 1000)
  timespec[2] = (ms % 1000) * 1e6
  return timespec
}

function bind(table: KeventTable, library: string | null): KqueueCalls {
  const c = declare(prototypes, library)
  return {
    table,
    kqueue() {
      const kq = c.kqueue()
      if (kq === -1) throw new PosixError('kqueue', lastError())
      setCloseOnExec(kq, true)
      return kq
    },
    kevent(kq, changes, nchanges, events, capacity, timeoutMs) {
      within(changes, nchanges)
      within(events, capacity)
      const time = timespecOf(timeoutMs)
      return outcome(c.kevent(descriptor(kq), changes.words, nchanges, events.words, capacity, time))
    },
  }
}

function within(list: KeventList, count: number): void {
  if (integer(count, 'count') < 0 || count > list.capacity) {
    throw new RangeError(`count ${count} is not within a list of ${list.capacity} kevents`)
  }
}

/** kqueue of the C library: macOS and FreeBSD; elsewhere each call throws UnsupportedError. */
export const systemKqueue: KqueueCalls = bind(platform.name === 'darwin' ? darwin : freebsd, null)

/** kqueue of libkqueue, a library over epoll; each call throws UnsupportedError where it is not installed. */
export const libkqueue: KqueueCalls = bind(keventTables.libkqueue, 'libkqueue.so.0')
