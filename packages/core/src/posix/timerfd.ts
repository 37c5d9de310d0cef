/** timerfd: timers that are waited for as descriptors. Linux only. */
import { descriptor } from './bounds.js'
import { check, declare, outcome } from './ffi.js'
import { platform } from './platform.js'

const c = declare({
  timerfd_create: 'int timerfd_create(int clock, int flags)',
  timerfd_settime: 'int timerfd_settime(int fd, int flags, void* value, void* former)',
  read: 'int read(int fd, void* buffer, size_t length)',
})

/** The wall clock, which may be set: nanoseconds since 1970. */
export const CLOCK_REALTIME: number = 0
/** The clock that only goes on. */
export const CLOCK_MONOTONIC: number = 1

const TFD_TIMER_ABSTIME = 1
const NANOSECONDS = 1e9
const HALF = 2 ** 32

/** Makes a timer that is not running yet; non-blocking, close-on-exec. Any thread. man 2 timerfd_create @throws PosixError */
export function timerfd_create(clock: number): number {
  return check(c.timerfd_create(clock, platform.O_CLOEXEC | platform.O_NONBLOCK), 'timerfd_create')
}

// struct itimerspec { struct timespec interval, value }: four 64-bit numbers, low halves first.
const times = new Int32Array(8)

function setTime(word: number, nanoseconds: number): void {
  const seconds = Math.floor(nanoseconds / NANOSECONDS)
  times[word] = seconds | 0
  times[word + 1] = Math.floor(seconds / HALF)
  times[word + 2] = nanoseconds - seconds * NANOSECONDS
  times[word + 3] = 0
}

/** When a timer expires, in nanoseconds. */
export interface TimerTimes {
  /** The first expiration, from now on or, if absolute, on its clock; 0 stops the timer. */
  readonly first: number
  /** Between two expirations from then on; 0: there is but one. Default: 0. */
  readonly interval?: number
  /** Default: false. */
  readonly absolute?: boolean
}

/** Starts a timer anew, or stops it: 0 or a negative errno. Any thread. man 2 timerfd_settime */
export function timerfd_settime(fd: number, { first, interval = 0, absolute = false }: TimerTimes): number {
  setTime(0, interval)
  setTime(4, first)
  return outcome(c.timerfd_settime(descriptor(fd), absolute ? TFD_TIMER_ABSTIME : 0, times, null))
}

const expirations = new Uint32Array(2)
const COUNTER = 8 // bytes

/** Takes how often a timer expired since it was last asked, or a negative errno (-EAGAIN: it did not). Any thread. */
export function timerfdExpirations(fd: number): number {
  const n = outcome(c.read(descriptor(fd), expirations, COUNTER))
  return n < 0 ? n : (expirations[1] as number) * HALF + (expirations[0] as number)
}
