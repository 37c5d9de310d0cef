/**
 * What differs between the platforms, in one table: constants of the headers and layouts of the structures.
 *
 * Linux x64 is tested; Linux arm64 differs from it in one structure (`epoll_event`); darwin and FreeBSD are written
 * from their headers and not yet tested. Structures not named here are the same everywhere on 64-bit little-endian
 * machines.
 */

/** Bytes of `struct aiocb` and the offsets of its fields. */
export interface AiocbLayout {
  readonly size: number
  readonly fildes: number
  readonly buffer: number
  readonly nbytes: number
  /** `aio_sigevent.sigev_notify` */
  readonly notify: number
  readonly offset: number
}

/** Constants and layouts of one platform; a flag that a platform lacks is 0, so that it may be or-ed blindly. */
export interface Platform {
  /** 'linux-x64', 'linux-arm64', 'darwin' or 'freebsd'. */
  readonly name: string
  /** socket(2) and accept4(2) take SOCK_CLOEXEC and SOCK_NONBLOCK, and there is a pipe2(2). */
  readonly atomicFlags: boolean
  /** `struct sockaddr` starts with a length byte (BSD), and its family is one byte. */
  readonly addressLength: boolean
  /** Bytes of a Unix socket path, without the closing NUL. */
  readonly unixPathLimit: number
  /** 32-bit words of `struct epoll_event`: 12 bytes, packed, on x86-64 alone; 16 elsewhere. */
  readonly epollStride: number
  /** The word at which `epoll_event.data` begins. */
  readonly epollData: number
  /** Bytes of `sigset_t`. */
  readonly sigsetSize: number
  /** Where the fields of `struct aiocb` lie; undefined where they are not known. */
  readonly aiocb: AiocbLayout | undefined
  readonly AF_INET6: number
  readonly SOCK_NONBLOCK: number
  readonly SOCK_CLOEXEC: number
  readonly SOL_SOCKET: number
  readonly SO_REUSEADDR: number
  readonly SO_REUSEPORT: number
  readonly SO_KEEPALIVE: number
  readonly SO_LINGER: number
  readonly SO_SNDBUF: number
  readonly SO_RCVBUF: number
  readonly SO_RCVLOWAT: number
  readonly SO_SNDTIMEO: number
  readonly SO_RCVTIMEO: number
  readonly SO_ERROR: number
  /** Set on each socket where MSG_NOSIGNAL is missing; 0 elsewhere. */
  readonly SO_NOSIGPIPE: number
  readonly IPV6_V6ONLY: number
  readonly MSG_DONTWAIT: number
  readonly MSG_NOSIGNAL: number
  readonly O_NONBLOCK: number
  readonly O_CLOEXEC: number
  readonly O_ASYNC: number
  readonly F_DUPFD_CLOEXEC: number
  readonly RLIMIT_NOFILE: number
  readonly MAP_ANONYMOUS: number
  readonly FIONREAD: number
  readonly TIOCOUTQ: number
  readonly POLLRDHUP: number
  readonly SIG_BLOCK: number
  readonly SIG_UNBLOCK: number
  readonly SIG_SETMASK: number
}

/** The same on x64 and arm64, and in glibc and musl. */
const linuxAiocb: AiocbLayout = { size: 168, fildes: 0, buffer: 16, nbytes: 24, notify: 44, offset: 128 }

const linuxX64: Platform = {
  name: 'linux-x64',
  atomicFlags: true,
  addressLength: false,
  unixPathLimit: 107,
  epollStride: 3,
  epollData: 1,
  sigsetSize: 128,
  aiocb: linuxAiocb,
  AF_INET6: 10,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
  SOL_SOCKET: 1,
  SO_REUSEADDR: 2,
  SO_REUSEPORT: 15,
  SO_KEEPALIVE: 9,
  SO_LINGER: 13,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_RCVLOWAT: 18,
  SO_SNDTIMEO: 21,
  SO_RCVTIMEO: 20,
  SO_ERROR: 4,
  SO_NOSIGPIPE: 0,
  IPV6_V6ONLY: 26,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  O_NONBLOCK: 0o4000,
  O_CLOEXEC: 0o2000000,
  O_ASYNC: 0o20000,
  F_DUPFD_CLOEXEC: 1030,
  RLIMIT_NOFILE: 7,
  MAP_ANONYMOUS: 0x20,
  FIONREAD: 0x541b,
  TIOCOUTQ: 0x5411,
  POLLRDHUP: 0x2000,
  SIG_BLOCK: 0,
  SIG_UNBLOCK: 1,
  SIG_SETMASK: 2,
}

const linuxArm64: Platform = { ...linuxX64, name: 'linux-arm64', epollStride: 4, epollData: 2 }

const darwin: Platform = {
  name: 'darwin',
  atomicFlags: false,
  addressLength: true,
  unixPathLimit: 103,
  epollStride: 4,
  epollData: 2,
  sigsetSize: 4,
  aiocb: undefined,
  AF_INET6: 30,
  SOCK_NONBLOCK: 0,
  SOCK_CLOEXEC: 0,
  SOL_SOCKET: 0xffff,
  SO_REUSEADDR: 0x4,
  SO_REUSEPORT: 0x200,
  SO_KEEPALIVE: 0x8,
  SO_LINGER: 0x1080, // SO_LINGER_SEC: plain SO_LINGER counts in clock ticks there
  SO_SNDBUF: 0x1001,
  SO_RCVBUF: 0x1002,
  SO_RCVLOWAT: 0x1004,
  SO_SNDTIMEO: 0x1005,
  SO_RCVTIMEO: 0x1006,
  SO_ERROR: 0x1007,
  SO_NOSIGPIPE: 0x1022,
  IPV6_V6ONLY: 27,
  MSG_DONTWAIT: 0x80,
  MSG_NOSIGNAL: 0,
  O_NONBLOCK: 0x4,
  O_CLOEXEC: 0x1000000,
  O_ASYNC: 0x40,
  F_DUPFD_CLOEXEC: 67,
  RLIMIT_NOFILE: 8,
  MAP_ANONYMOUS: 0x1000,
  FIONREAD: 0x4004667f,
  TIOCOUTQ: 0x40047473,
  POLLRDHUP: 0,
  SIG_BLOCK: 1,
  SIG_UNBLOCK: 2,
  SIG_SETMASK: 3,
}

const freebsd: Platform = {
  ...darwin,
  name: 'freebsd',
  atomicFlags: true,
  sigsetSize: 16,
  AF_INET6: 28,
  SOCK_NONBLOCK: 0x20000000,
  SOCK_CLOEXEC: 0x10000000,
  SO_REUSEPORT: 0x10000, // SO_REUSEPORT_LB: the one that spreads connections, as SO_REUSEPORT does on Linux
  SO_LINGER: 0x80,
  SO_NOSIGPIPE: 0,
  MSG_NOSIGNAL: 0x20000,
  O_CLOEXEC: 0x100000,
  F_DUPFD_CLOEXEC: 17,
  POLLRDHUP: 0x4000,
}

const tables: Readonly<Record<string, Platform>> = {
  'linux-x64': linuxX64,
  'linux-arm64': linuxArm64,
  'darwin-x64': darwin,
  'darwin-arm64': darwin,
  'freebsd-x64': freebsd,
  'freebsd-arm64': freebsd,
}

/** Says where this process runs, as `platform-arch`. */
export const platformName: string = `${process.platform}-${process.arch}`

/** True where calls can work; elsewhere this folder can be imported, and each call throws UnsupportedError. */
export const isSupported: boolean = platformName in tables

/** The table of this platform; where none fits, Linux's, whose numbers then reach no system. */
export const platform: Platform = tables[platformName] ?? linuxX64
