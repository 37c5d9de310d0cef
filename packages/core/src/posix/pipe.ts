/** Descriptors that exist to wake and to talk within one machine: eventfd, pipe, socketpair. All are close-on-exec. */
import { AF_UNIX } from './address.js'
import { descriptor, natural } from './bounds.js'
import { check, declare, outcome } from './ffi.js'
import { setCloseOnExec, setNonBlocking } from './file.js'
import { platform } from './platform.js'
import { finishSocket, type SocketOptions, socketType } from './socket.js'

const c = declare({
  eventfd: 'int eventfd(uint32_t initial, int flags)',
  read: 'int read(int fd, void* buffer, size_t length)',
  write: 'int write(int fd, void* buffer, size_t length)',
  pipe: 'int pipe(void* fds)',
  pipe2: 'int pipe2(void* fds, int flags)',
  socketpair: 'int socketpair(int family, int type, int protocol, void* fds)',
})

/** Whether the descriptors return -EAGAIN where they would block. */
export interface PipeOptions {
  /** Default: false. */
  readonly nonblocking?: boolean
}

/**
 * Makes a counter that can be waited for; readable while above 0. Linux, FreeBSD. Any thread. man 2 eventfd @throws
 * PosixError
 */
export function eventfd(initial = 0, { nonblocking = false }: PipeOptions = {}): number {
  const flags = platform.O_CLOEXEC | (nonblocking ? platform.O_NONBLOCK : 0)
  return check(c.eventfd(natural(initial, 'initial'), flags), 'eventfd')
}

const one = new BigUint64Array([1n])
const count = new BigUint64Array(1)
const COUNTER = 8 // bytes

/** Adds 1 to an eventfd, which wakes who waits for it: 0 or a negative errno. Any thread. man 2 eventfd */
export function eventfdSignal(fd: number): number {
  const n = outcome(c.write(descriptor(fd), one, COUNTER))
  return Math.min(n, 0)
}

/**
 * Sets an eventfd back to 0 and returns what it was, or a negative errno (-EAGAIN: it was 0). Any thread. man 2
 * eventfd
 */
export function eventfdDrain(fd: number): number {
  const n = outcome(c.read(descriptor(fd), count, COUNTER))
  return n < 0 ? n : Number(count[0])
}

/** Makes a pipe and returns [the end to read, the end to write]. Any thread. man 2 pipe2 @throws PosixError */
export function pipe2({ nonblocking = false }: PipeOptions = {}): readonly [number, number] {
  const fds = new Int32Array(2)
  if (platform.atomicFlags) {
    check(c.pipe2(fds, platform.O_CLOEXEC | (nonblocking ? platform.O_NONBLOCK : 0)), 'pipe2')
    return pairOf(fds)
  }
  check(c.pipe(fds), 'pipe')
  for (const fd of fds) {
    setCloseOnExec(fd, true)
    setNonBlocking(fd, nonblocking)
  }
  return pairOf(fds)
}

/** Makes two connected Unix sockets. Any thread. man 2 socketpair @throws PosixError */
export function socketpair(options: SocketOptions = {}): readonly [number, number] {
  const fds = new Int32Array(2)
  check(c.socketpair(AF_UNIX, socketType(options), 0, fds), 'socketpair')
  for (const fd of fds) finishSocket(fd, options.nonblocking === true)
  return pairOf(fds)
}

function pairOf(fds: Int32Array): readonly [number, number] {
  return [fds[0] as number, fds[1] as number]
}
