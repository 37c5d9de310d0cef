/** poll(2): which of some descriptors are ready, told anew at each call. */
import { descriptor, integer, timeout } from './bounds.js'
import { declare, outcome } from './ffi.js'
import { platform } from './platform.js'

const c = declare({ poll: 'int poll(void* fds, unsigned long count, int timeout)' })

/** Bytes, a connection or end of stream can be read. */
export const POLLIN: number = 0x1
/** Bytes can be written. */
export const POLLOUT: number = 0x4
/** An error is pending (always told). */
export const POLLERR: number = 0x8
/** Both directions are closed (always told). */
export const POLLHUP: number = 0x10
/** The descriptor is not open (always told). */
export const POLLNVAL: number = 0x20
/** The peer will send no more. Linux and FreeBSD; 0 on macOS. */
export const POLLRDHUP: number = platform.POLLRDHUP

// struct pollfd { int fd; short events; short revents }: two 32-bit words, revents in the high half of the second.
const single = new Int32Array(2)

/** Waits for one descriptor: its revents, 0 after `timeoutMs` (-1: for ever, 0: not at all), or -errno. man 2 poll */
export function pollOne(fd: number, events: number, timeoutMs: number): number {
  single[0] = descriptor(fd)
  single[1] = events & 0xffff
  const n = outcome(c.poll(single, 1, timeout(timeoutMs)))
  return n > 0 ? (single[1] as number) >>> 16 : n
}

/**
 * Waits for the first `count` pairs [fd, events | revents << 16] of `pairs`; returns how many are ready (their
 * revents are then set), 0 after `timeoutMs` (-1: for ever, 0: not at all), or a negative errno. An fd below 0 is
 * skipped; revents of the call before are overwritten. Any thread. man 2 poll
 * @throws RangeError where the array is shorter than `count` pairs
 */
export function poll(pairs: Int32Array, count: number, timeoutMs: number): number {
  if (integer(count, 'count') < 0 || !(pairs instanceof Int32Array) || 2 * count > pairs.length) {
    throw new RangeError(`count ${count} is not within ${pairs.length} words of pollfd`)
  }
  return outcome(c.poll(pairs, count, timeout(timeoutMs)))
}
