/**
 * What any descriptor can do: read, write, close, and its flags. close, read and write return values, the others
 * throw.
 */
import { descriptor, natural, text, within } from './bounds.js'
import { PosixError } from './errors.js'
import { check, declare, outcome } from './ffi.js'
import { platform } from './platform.js'

const c = declare({
  close: 'int close(int fd)',
  read: 'int read(int fd, void* buffer, size_t length)',
  write: 'int write(int fd, void* buffer, size_t length)',
  open: 'int open(const char* path, int flags, ...)',
  dup2: 'int dup2(int fd, int target)',
  fcntl: 'int fcntl(int fd, int command, ...)',
  getrlimit: 'int getrlimit(int resource, void* limits)',
  memfd_create: 'int memfd_create(const char* name, uint32_t flags)',
  ftruncate: 'int ftruncate(int fd, int64_t size)',
})

const F_GETFD = 1
const F_SETFD = 2
const F_GETFL = 3
const F_SETFL = 4
const FD_CLOEXEC = 1
const O_RDWR = 2
const MFD_CLOEXEC = 1

/**
 * Closes a descriptor: 0 or a negative errno. After -EINTR Linux has closed it all the same. Any thread. man 2 close
 */
export function close(fd: number): number {
  return outcome(c.close(descriptor(fd)))
}

/**
 * Reads up to `length` bytes to `offset`; returns how many, 0 at the end, or a negative errno. Any thread. man 2 read
 * @throws RangeError where offset and length do not lie within the buffer, or it is detached
 */
export function read(fd: number, buffer: Uint8Array, offset: number, length: number): number {
  return outcome(c.read(descriptor(fd), within(buffer, offset, length), length))
}

/**
 * Writes up to `length` bytes from `offset`; returns how many were taken or a negative errno. Any thread. man 2 write
 * @throws RangeError where offset and length do not lie within the buffer, or it is detached
 */
export function write(fd: number, buffer: Uint8Array, offset: number, length: number): number {
  return outcome(c.write(descriptor(fd), within(buffer, offset, length), length))
}

function fcntl(fd: number, command: number, argument: number): number {
  return check(c.fcntl(descriptor(fd), command, 'int', argument), 'fcntl')
}

function setFlag(fd: number, get: number, set: number, flag: number, on: boolean): void {
  const flags = fcntl(fd, get, 0)
  const wanted = on ? flags | flag : flags & ~flag
  if (wanted !== flags) fcntl(fd, set, wanted)
}

/** Makes calls return -EAGAIN where they would block, or block again; for all who share the open file. man 2 fcntl */
export function setNonBlocking(fd: number, on: boolean): void {
  setFlag(fd, F_GETFL, F_SETFL, platform.O_NONBLOCK, on)
}

/** Closes the descriptor in programs that this process executes, or lets them inherit it. Any thread. man 2 fcntl */
export function setCloseOnExec(fd: number, on: boolean): void {
  setFlag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on)
}

/** Tells whether a number is that of an open descriptor. Any thread. man 2 fcntl, F_GETFD */
export function isOpen(fd: number): boolean {
  return c.fcntl(descriptor(fd), F_GETFD, 'int', 0) !== -1
}

/** Returns a second descriptor, close-on-exec, of the same open file. Any thread. man 2 fcntl, F_DUPFD_CLOEXEC */
export function duplicate(fd: number): number {
  return fcntl(fd, platform.F_DUPFD_CLOEXEC, 0)
}

/** Makes `target` a second descriptor of the open file of `fd`, closing what it was. Any thread. man 2 dup2 */
export function dup2(fd: number, target: number): void {
  check(c.dup2(descriptor(fd), descriptor(target)), 'dup2')
}

/** Opens /dev/null: a descriptor held in reserve, to be closed when accept4 says -EMFILE. Any thread. man 2 open */
export function openNull(): number {
  return check(c.open('/dev/null', O_RDWR | platform.O_CLOEXEC), 'open', '/dev/null')
}

/** How many descriptors the process may have; Infinity where there is no limit. */
export interface DescriptorLimit {
  /** The limit in force, which the process may raise up to `hard`. */
  readonly soft: number
  readonly hard: number
}

const RLIM_INFINITY = 2n ** 63n - 1n // BSD's; Linux has 2^64 - 1

/** Returns how many descriptors this process may have open. Any thread. man 2 getrlimit, RLIMIT_NOFILE */
export function descriptorLimit(): DescriptorLimit {
  const limits = new BigUint64Array(2)
  check(c.getrlimit(platform.RLIMIT_NOFILE, limits), 'getrlimit')
  const [soft, hard] = Array.from(limits, (n) => (n >= RLIM_INFINITY ? Number.POSITIVE_INFINITY : Number(n)))
  return { soft: soft as number, hard: hard as number }
}

/**
 * Makes a file of `size` bytes that lives in memory only, and returns its descriptor; `name` is seen in /proc. Linux
 * and FreeBSD. Any thread. man 2 memfd_create
 * @throws PosixError, UnsupportedError (macOS), RangeError (a NUL in the name)
 */
export function memfd_create(name: string, size: number): number {
  natural(size, 'size')
  const fd = check(c.memfd_create(text(name, 'name'), MFD_CLOEXEC), 'memfd_create', name)
  const truncated = outcome(c.ftruncate(fd, size))
  if (truncated === 0) return fd
  close(fd)
  throw new PosixError('ftruncate', truncated, name)
}
