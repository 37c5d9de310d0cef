/** Errors of set-up calls, in Node's shape, and the errno values that hot calls return. */
import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import { formatAddress, type SocketAddress } from './address.js'
import { platformName } from './platform.js'

const { errno } = constants

export const E2BIG: number = errno.E2BIG
export const EACCES: number = errno.EACCES
export const EADDRINUSE: number = errno.EADDRINUSE
export const EADDRNOTAVAIL: number = errno.EADDRNOTAVAIL
export const EAGAIN: number = errno.EAGAIN
export const EALREADY: number = errno.EALREADY
export const EBADF: number = errno.EBADF
export const EBUSY: number = errno.EBUSY
export const ECANCELED: number = errno.ECANCELED
export const ECHILD: number = errno.ECHILD
export const ECONNABORTED: number = errno.ECONNABORTED
export const ECONNREFUSED: number = errno.ECONNREFUSED
export const ECONNRESET: number = errno.ECONNRESET
export const EEXIST: number = errno.EEXIST
export const EHOSTUNREACH: number = errno.EHOSTUNREACH
export const EINPROGRESS: number = errno.EINPROGRESS
export const EINTR: number = errno.EINTR
export const EINVAL: number = errno.EINVAL
export const EISCONN: number = errno.EISCONN
export const EMFILE: number = errno.EMFILE
export const ENETDOWN: number = errno.ENETDOWN
export const ENETUNREACH: number = errno.ENETUNREACH
export const ENFILE: number = errno.ENFILE
export const ENOBUFS: number = errno.ENOBUFS
export const ENOENT: number = errno.ENOENT
export const ENOMEM: number = errno.ENOMEM
export const ENOSYS: number = errno.ENOSYS
export const ENOTCONN: number = errno.ENOTCONN
export const ENOTSOCK: number = errno.ENOTSOCK
export const ENOTSUP: number = errno.ENOTSUP
export const ENOTTY: number = errno.ENOTTY
export const EPERM: number = errno.EPERM
export const EPIPE: number = errno.EPIPE
export const EPROTO: number = errno.EPROTO
export const ESRCH: number = errno.ESRCH
export const ETIME: number = errno.ETIME
export const ETIMEDOUT: number = errno.ETIMEDOUT

const names: ReadonlyMap<number, string> = new Map(Object.entries(errno).map(([name, value]) => [-value, name]))
const sentences: ReadonlyMap<number, readonly [string, string]> = getSystemErrorMap()

/** Names a negative errno as hot calls return it: -11 is 'EAGAIN' on Linux. 'OK' for n >= 0. Any thread. man 3 errno */
export function errorName(n: number): string {
  if (n >= 0) return 'OK'
  return sentences.get(n)?.[0] ?? names.get(n) ?? `errno ${-n}`
}

/** What to do about the errors that people meet; those of one call stand under `call:CODE`. */
const advice: Readonly<Record<string, string>> = {
  'bind:EACCES':
    'a port below 1024 needs root or CAP_NET_BIND_SERVICE: choose a higher one; a path needs a writable directory',
  'bind:EINVAL': 'the socket is bound already, or the address is not one of its family',
  'bind:ENOENT': 'the directory of the socket path does not exist: make it first',
  'setsockopt:EINVAL': 'the value is out of the range of this option',
  'mmap:EINVAL': 'the size must be above 0',
  'io_uring_setup:EPERM':
    'sysctl kernel.io_uring_disabled or a seccomp filter (as of a container) forbids it: allow it there',
  'io_uring_setup:ENOMEM': 'the rings count against RLIMIT_MEMLOCK on old kernels: raise `ulimit -l`',
  'mmap:EACCES': 'the descriptor must be open for reading and writing',
  'fork:EAGAIN': 'the limit of processes is reached: raise `ulimit -u` or the pids limit of the cgroup',
  'waitpid:ECHILD': 'there is no such child, or it was collected already, or SIGCHLD is ignored',
  EADDRINUSE:
    'something listens there: choose another port, or stop it (`ss -ltnp`); a socket file left over must be removed',
  EADDRNOTAVAIL: 'no interface of this machine has that address: choose one of `ip addr`, or 0.0.0.0 or ::',
  EAFNOSUPPORT: 'this machine lacks the address family: is IPv6 switched off?',
  EACCES: 'the process lacks the right to do this',
  EPERM: 'the process lacks the right to do this',
  EBADF: 'the descriptor is not open, perhaps closed already',
  EMFILE: 'this process has no descriptor left: raise `ulimit -n`, or close some',
  ENFILE: 'the system has no descriptor left: raise fs.file-max, or stop what leaks them',
  EINVAL: 'an argument is out of range for this call or this descriptor',
  ENOENT: 'the path does not exist',
  ENOMEM: 'no memory is left: free some, or raise the limit of the cgroup',
  ENOBUFS: 'no memory is left for sockets: close some, or raise net.ipv4.tcp_mem',
  ENOTSOCK: 'the descriptor is not a socket',
  ENOTCONN: 'the socket is not connected',
  ENOTSUP: 'this system cannot do what was asked, or not on this descriptor',
  ENOSYS: 'this kernel lacks the call, or a seccomp filter forbids it',
  ESRCH: 'no such process or thread: it may have ended',
}

function explain(syscall: string, n: number, subject: string): string {
  const code = errorName(n)
  const what = `${syscall}${subject && ` ${subject}`}: ${sentences.get(n)?.[1] ?? 'system error'} (${code})`
  const todo = advice[`${syscall}:${code}`] ?? advice[code]
  return todo ? `${what}; ${todo}` : what
}

/**
 * Reports a system call that failed, in Node's shape: code, errno (negative), syscall, and the address if there is
 * one.
 */
export class PosixError extends Error {
  override readonly name: string = 'PosixError'
  /** 'EADDRINUSE' */
  readonly code: string
  /** Negative, as in Node: -98 */
  readonly errno: number
  /** 'bind' */
  readonly syscall: string
  /** The host or the path, if the call had an address. */
  declare readonly address?: string
  /** The port, if the call had an IP address. */
  declare readonly port?: number

  /** Takes the call's name, its negative errno and what it was called with, if that helps the reader. */
  constructor(syscall: string, n: number, subject: SocketAddress | string = '') {
    super(explain(syscall, n, typeof subject === 'string' ? subject : formatAddress(subject)))
    this.code = errorName(n)
    this.errno = n
    this.syscall = syscall
    if (typeof subject === 'string') return
    this.address = subject.family === 'unix' ? subject.path : subject.host
    if (subject.family !== 'unix') this.port = subject.port
  }
}

/** Reports that this platform lacks something; thrown by the call that needs it, never by an import. */
export class UnsupportedError extends Error {
  override readonly name: string = 'UnsupportedError'
  readonly code: 'ERR_CS_UNSUPPORTED' = 'ERR_CS_UNSUPPORTED'
  /** 'epoll_create1()' */
  readonly missing: string
  /** 'darwin-arm64' */
  readonly platform: string = platformName

  /** Takes what is missing and a clause that says why or what to do. */
  constructor(missing: string, reason: string, options?: ErrorOptions) {
    super(`${missing}: not available on ${platformName}; ${reason}`, options)
    this.missing = missing
  }
}
