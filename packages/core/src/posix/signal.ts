/** Signals as values: masks, waits and descriptors in place of handlers, which JavaScript cannot be. */
import { constants } from 'node:os'
import { descriptor, integer, timespec } from './bounds.js'
import { PosixError } from './errors.js'
import { check, declare, outcome } from './ffi.js'
import { platform } from './platform.js'

const c = declare({
  pthread_sigmask: 'int pthread_sigmask(int how, void* set, void* former)',
  signalfd: 'int signalfd(int fd, void* set, int flags)',
  read: 'int read(int fd, void* buffer, size_t length)',
  sigtimedwait: 'int sigtimedwait(void* set, void* info, void* timeout)',
  sigrtmin: 'int __libc_current_sigrtmin()',
  signal: 'intptr_t signal(int signal, intptr_t handler)',
  siginterrupt: 'int siginterrupt(int signal, int flag)',
})

/** Block the signals given, besides those blocked already. */
export const SIG_BLOCK: number = platform.SIG_BLOCK
/** Unblock the signals given. */
export const SIG_UNBLOCK: number = platform.SIG_UNBLOCK
/** Block exactly the signals given. */
export const SIG_SETMASK: number = platform.SIG_SETMASK

const SIG_DFL = 0
const SIG_IGN = 1
const HIGHEST = 8 * Math.min(platform.sigsetSize, 8) // Linux has signals 1 to 64

function setOf(signals: Iterable<number>): Uint8Array {
  const set = new Uint8Array(platform.sigsetSize)
  for (const n of signals) {
    if (!Number.isInteger(n) || n < 1 || n > HIGHEST) throw new RangeError(`a signal is from 1 to ${HIGHEST}: ${n}`)
    set[(n - 1) >> 3]! |= 1 << ((n - 1) & 7)
  }
  return set
}

function listOf(set: Uint8Array): readonly number[] {
  const all = Array.from({ length: HIGHEST }, (_, i) => i + 1)
  return all.filter((n) => ((set[(n - 1) >> 3] as number) >> ((n - 1) & 7)) & 1)
}

/**
 * Changes which signals the calling thread blocks (SIG_BLOCK, …); returns those blocked before. man 3 pthread_sigmask
 */
export function sigprocmask(how: number, signals: readonly number[]): readonly number[] {
  const former = new Uint8Array(platform.sigsetSize)
  const error = c.pthread_sigmask(integer(how, 'how'), setOf(signals), former) // returns errno, unlike most calls
  if (error !== 0) throw new PosixError('pthread_sigmask', -error)
  return listOf(former)
}

/** Whether the descriptor returns -EAGAIN where no signal is pending. */
export interface SignalOptions {
  /** Default: true. */
  readonly nonblocking?: boolean
}

/**
 * Makes a descriptor that is readable while one of `signals`, which must be blocked, is pending. Linux. man 2 signalfd
 */
export function signalfd(signals: readonly number[], { nonblocking = true }: SignalOptions = {}): number {
  const flags = platform.O_CLOEXEC | (nonblocking ? platform.O_NONBLOCK : 0)
  return check(c.signalfd(-1, setOf(signals), flags), 'signalfd')
}

const SIGNALFD_SIGINFO = 128 // bytes; the first word is the number
const info = new Int32Array(SIGNALFD_SIGINFO / 4)

/** Takes a pending signal from a signalfd: its number, or a negative errno (-EAGAIN: none). man 2 signalfd */
export function readSignal(fd: number): number {
  const n = outcome(c.read(descriptor(fd), info, SIGNALFD_SIGINFO))
  return n < 0 ? n : (info[0] as number)
}

// siginfo_t of 64-bit Linux, in 32-bit words: signo, errno, code, padding, then, of an I/O signal, a long and an int.
const SIGINFO_WORDS = 32
const SIGINFO_SIGNAL = 0
const SIGINFO_CODE = 2
const SIGINFO_BAND = 4
const SIGINFO_FD = 6
const POLL_IN = 1
const POLL_HUP = 6

const { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGCHLD, SIGSYS } = constants.signals
/** Signals to which the same small codes mean something else. */
const ownCodes: readonly number[] = [SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGCHLD, SIGSYS]

/** Room for what one sigtimedwait tells; it hides the layout of `siginfo_t`. Belongs to one thread. */
export class SignalInfo {
  /** The structure as the kernel writes it; for sigtimedwait alone. */
  readonly words: Int32Array = new Int32Array(SIGINFO_WORDS)

  /** The number of the signal taken last. */
  get signal(): number {
    return this.words[SIGINFO_SIGNAL] as number
  }

  /** The descriptor it is about, or -1 where it is not the signal of a descriptor (setIoSignal). Linux. */
  get fd(): number {
    return this.#isAboutIo() ? (this.words[SIGINFO_FD] as number) : -1
  }

  /** What can be done with that descriptor, as POLL… bits; 0 where it is not the signal of one. Linux. */
  get band(): number {
    return this.#isAboutIo() ? (this.words[SIGINFO_BAND] as number) : 0
  }

  #isAboutIo(): boolean {
    const code = this.words[SIGINFO_CODE] as number
    return process.platform === 'linux' && code >= POLL_IN && code <= POLL_HUP && !ownCodes.includes(this.signal)
  }
}

/**
 * Waits up to `ms` (below 0: for ever) for one of `signals`, which must be blocked; returns its number or a negative
 * errno (-EAGAIN: none came), and fills `info` with what it says. Linux and FreeBSD. Any thread. man 2 sigtimedwait
 */
export function sigtimedwait(signals: readonly number[], ms: number, info?: SignalInfo): number {
  return outcome(c.sigtimedwait(setOf(signals), info?.words ?? null, timespec(ms)))
}

/**
 * Returns the lowest signal that is queued for each time it is sent; those from it to 64 are free to use. The C library
 * keeps a few for itself. Linux. Any thread. man 7 signal, SIGRTMIN @throws UnsupportedError
 */
export function sigrtmin(): number {
  return c.sigrtmin()
}

/**
 * Ignores a signal in the whole process; SIGCHLD ignored collects children by itself. man 2 signal @throws PosixError
 */
export function ignoreSignal(signal: number): void {
  setHandler(signal, SIG_IGN)
}

/** Gives a signal its default effect again, as a forked child needs it in place of node's handlers. man 2 signal */
export function defaultSignal(signal: number): void {
  setHandler(signal, SIG_DFL)
}

/**
 * Lets a signal for which there is a handler end a blocked call with -EINTR, accept4 too, which would go on
 * otherwise. man 3 siginterrupt @throws PosixError
 */
export function interruptBy(signal: number): void {
  check(c.siginterrupt(integer(signal, 'signal'), 1), 'siginterrupt', nameOf(signal))
}

function setHandler(signal: number, handler: number): void {
  check(c.signal(integer(signal, 'signal'), handler), 'signal', nameOf(signal))
}

function nameOf(signal: number): string {
  const found = Object.entries(constants.signals).find(([, n]) => n === signal)
  return found?.[0] ?? String(signal)
}
