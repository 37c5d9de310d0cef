/**
 * Sockets. Every descriptor made here is close-on-exec and never raises SIGPIPE.
 *
 * Hot calls (accept4, connect, recv, send, sendv, readv, shutdown) return n >= 0 or a negative errno and throw only
 * when an argument is out of bounds; the others throw PosixError.
 */
import { AF_INET, AF_INET6, AF_UNIX, decodeAddress, encodeAddress, type SocketAddress } from './address.js'
import { descriptor, integer, natural, within } from './bounds.js'
import { UnsupportedError } from './errors.js'
import { addressOf, check, declare, outcome } from './ffi.js'
import { setCloseOnExec, setNonBlocking } from './file.js'
import { IoVector } from './iovec.js'
import { platform } from './platform.js'

const c = declare({
  socket: 'int socket(int family, int type, int protocol)',
  bind: 'int bind(int fd, void* address, uint32_t length)',
  listen: 'int listen(int fd, int backlog)',
  accept: 'int accept(int fd, void* address, void* length)',
  accept4: 'int accept4(int fd, void* address, void* length, int flags)',
  connect: 'int connect(int fd, void* address, uint32_t length)',
  recv: 'int recv(int fd, void* buffer, size_t length, int flags)',
  send: 'int send(int fd, void* buffer, size_t length, int flags)',
  sendmsg: 'int sendmsg(int fd, void* message, int flags)',
  readv: 'int readv(int fd, void* iovec, int count)',
  shutdown: 'int shutdown(int fd, int how)',
  getsockname: 'int getsockname(int fd, void* address, void* length)',
  getpeername: 'int getpeername(int fd, void* address, void* length)',
  setsockopt: 'int setsockopt(int fd, int level, int name, void* value, uint32_t length)',
  getsockopt: 'int getsockopt(int fd, int level, int name, void* value, void* length)',
})

/** Looks at bytes without taking them. man 2 recv */
export const MSG_PEEK: number = 2
/** Makes this one call non-blocking. man 2 recv */
export const MSG_DONTWAIT: number = platform.MSG_DONTWAIT

/** No more bytes are wanted. man 2 shutdown */
export const SHUT_RD: number = 0
/** No more bytes will be sent: the peer reads end of file. man 2 shutdown */
export const SHUT_WR: number = 1
/** Both; on a listening socket of Linux it wakes every accept4 with -EINVAL. man 2 shutdown */
export const SHUT_RDWR: number = 2

export const SOL_SOCKET: number = platform.SOL_SOCKET
export const IPPROTO_TCP: number = 6
export const IPPROTO_IPV6: number = 41
export const TCP_NODELAY: number = 1

const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const families = { ipv4: AF_INET, ipv6: AF_INET6, unix: AF_UNIX } as const

/** What a new socket is. */
export interface SocketOptions {
  /** 'stream' (default) or 'dgram'. */
  readonly type?: 'stream' | 'dgram'
  /** Whether calls return -EAGAIN where they would block. Default: false. */
  readonly nonblocking?: boolean
}

/** Gives the `type` argument of socket(2) and socketpair(2) for the options. */
export function socketType({ type = 'stream', nonblocking = false }: SocketOptions): number {
  const flags = platform.SOCK_CLOEXEC | (nonblocking ? platform.SOCK_NONBLOCK : 0)
  return (type === 'stream' ? SOCK_STREAM : SOCK_DGRAM) | flags
}

/** Sets on a new descriptor what platforms without SOCK_CLOEXEC and MSG_NOSIGNAL need; nothing on Linux and FreeBSD. */
export function finishSocket(fd: number, nonblocking: boolean): number {
  if (platform.atomicFlags) return fd
  setCloseOnExec(fd, true)
  setNonBlocking(fd, nonblocking) // BSD lets an accepted socket inherit the flag of its listener
  setsockoptInt(fd, SOL_SOCKET, platform.SO_NOSIGPIPE, 1)
  return fd
}

/** Makes a socket and returns its descriptor; close-on-exec. Any thread. man 2 socket @throws PosixError */
export function socket(family: SocketAddress['family'], options: SocketOptions = {}): number {
  const fd = check(c.socket(families[family], socketType(options), 0), 'socket')
  return finishSocket(fd, options.nonblocking === true)
}

/**
 * Gives a socket its own address; port 0 lets the kernel pick one. Any thread. man 2 bind @throws PosixError,
 * RangeError
 */
export function bind(fd: number, address: SocketAddress): void {
  const bytes = encodeAddress(address)
  check(c.bind(descriptor(fd), bytes, bytes.length), 'bind', address)
}

/**
 * Lets a socket take connections; `backlog` may wait for accept4, cut at net.core.somaxconn. Any thread. man 2 listen
 */
export function listen(fd: number, backlog: number): void {
  check(c.listen(descriptor(fd), integer(backlog, 'backlog')), 'listen')
}

/**
 * Takes a connection and returns its descriptor, or a negative errno (-EAGAIN, -EINTR, -EMFILE, -ECONNABORTED, ...).
 * Blocks the thread where the listener blocks; the peer's address is not fetched. Any thread. man 2 accept4
 */
export function accept4(fd: number, nonblocking: boolean): number {
  if (!platform.atomicFlags) return acceptThenSet(fd, nonblocking)
  const flags = nonblocking ? platform.SOCK_CLOEXEC | platform.SOCK_NONBLOCK : platform.SOCK_CLOEXEC
  return outcome(c.accept4(descriptor(fd), null, null, flags))
}

function acceptThenSet(fd: number, nonblocking: boolean): number {
  const connection = outcome(c.accept(descriptor(fd), null, null))
  return connection < 0 ? connection : finishSocket(connection, nonblocking)
}

/**
 * Connects and returns 0 or a negative errno; -EINPROGRESS (await POLLOUT) if non-blocking. Any thread. man 2 connect
 */
export function connect(fd: number, address: SocketAddress): number {
  const bytes = encodeAddress(address)
  return outcome(c.connect(descriptor(fd), bytes, bytes.length))
}

/**
 * Receives up to `length` bytes at `offset`; returns how many, 0 at end of stream, or a negative errno. `flags`:
 * MSG_PEEK, MSG_DONTWAIT; default 0. Any thread. man 2 recv
 * @throws RangeError where offset and length do not lie within the buffer, or it is detached
 */
export function recv(fd: number, buffer: Uint8Array, offset: number, length: number, flags = 0): number {
  return outcome(c.recv(descriptor(fd), within(buffer, offset, length), length, integer(flags, 'flags')))
}

/**
 * Looks at what has arrived without taking it and without waiting: bytes, 0 at end of stream, or -errno. Any thread.
 */
export function recvPeek(fd: number, buffer: Uint8Array, offset: number, length: number): number {
  return recv(fd, buffer, offset, length, MSG_PEEK | MSG_DONTWAIT)
}

/**
 * Sends up to `length` bytes from `offset`; returns how many the kernel took (maybe fewer) or a negative errno
 * (-EAGAIN, -EPIPE, -ECONNRESET, ...). Never raises SIGPIPE. Any thread. man 2 send
 * @throws RangeError where offset and length do not lie within the buffer, or it is detached
 */
export function send(fd: number, buffer: Uint8Array, offset: number, length: number, flags = 0): number {
  const all = integer(flags, 'flags') | platform.MSG_NOSIGNAL
  return outcome(c.send(descriptor(fd), within(buffer, offset, length), length, all))
}

const vector = new IoVector()
// struct msghdr in 64-bit words: name, its length, iovec, its count, control, its length, flags. The count and
// the lengths of BSD have 32 bits, but what is set here is read alike on little-endian machines.
const message = new BigUint64Array(7)
const MESSAGE_IOVEC = 2
const MESSAGE_COUNT = 3

/**
 * Sends the first `count` buffers (default: all) in one call; returns how many bytes the kernel took, which may end
 * inside any buffer, or a negative errno. At most IOV_MAX (1024) buffers are taken. Never raises SIGPIPE. Any thread.
 * man 2 sendmsg
 */
export function sendv(fd: number, buffers: readonly Uint8Array[], count: number = buffers.length): number {
  const n = vector.hold(buffers, count)
  message[MESSAGE_IOVEC] = addressOf(vector.entries)
  message[MESSAGE_COUNT] = BigInt(n)
  const sent = outcome(c.sendmsg(descriptor(fd), message, platform.MSG_NOSIGNAL))
  vector.release()
  return sent
}

/** Reads into the first `count` buffers (default: all) in turn; returns bytes, 0 at the end, or -errno. man 2 readv */
export function readv(fd: number, buffers: readonly Uint8Array[], count: number = buffers.length): number {
  const n = vector.hold(buffers, count)
  const received = outcome(c.readv(descriptor(fd), vector.entries, n))
  vector.release()
  return received
}

/** Ends one direction or both of a connection (SHUT_RD, SHUT_WR, SHUT_RDWR): 0 or -errno. Any thread. man 2 shutdown */
export function shutdown(fd: number, how: number): number {
  return outcome(c.shutdown(descriptor(fd), integer(how, 'how')))
}

const ADDRESS_SIZE = 128 // struct sockaddr_storage
const address = new Uint8Array(ADDRESS_SIZE)
const size = new Uint32Array(1)

/**
 * Returns the socket's own address, with the port that the kernel picked. Any thread. man 2 getsockname @throws
 * PosixError
 */
export function getsockname(fd: number): SocketAddress {
  size[0] = ADDRESS_SIZE
  check(c.getsockname(descriptor(fd), address, size), 'getsockname')
  return decodeAddress(address, size[0])
}

/** Returns the address of the other end. Any thread. man 2 getpeername @throws PosixError */
export function getpeername(fd: number): SocketAddress {
  size[0] = ADDRESS_SIZE
  check(c.getpeername(descriptor(fd), address, size), 'getpeername')
  return decodeAddress(address, size[0])
}

const option = new Int32Array(4) // an int, a struct linger { int; int }, or a struct timeval { int64; int64 }

/** Sets an option that is an int. Any thread. man 2 setsockopt @throws PosixError */
export function setsockoptInt(fd: number, level: number, name: number, value: number): void {
  option[0] = integer(value, 'the value of a socket option')
  setOption(fd, level, name, 4)
}

/** Reads an option that is an int. Any thread. man 2 getsockopt @throws PosixError */
export function getsockoptInt(fd: number, level: number, name: number): number {
  size[0] = 4
  check(c.getsockopt(descriptor(fd), integer(level, 'level'), integer(name, 'name'), option, size), 'getsockopt')
  return option[0] as number
}

function setOption(fd: number, level: number, name: number, bytes: number): void {
  check(c.setsockopt(descriptor(fd), integer(level, 'level'), integer(name, 'name'), option, bytes), 'setsockopt')
}

/** Lets bind take a port that old connections still linger on; set it before bind. man 7 socket, SO_REUSEADDR */
export function setReuseAddress(fd: number, on = true): void {
  setsockoptInt(fd, SOL_SOCKET, platform.SO_REUSEADDR, Number(on))
}

/**
 * Lets several sockets bind one port; Linux spreads connections over them. Set it before bind. man 7 socket,
 * SO_REUSEPORT
 */
export function setReusePort(fd: number, on = true): void {
  setsockoptInt(fd, SOL_SOCKET, platform.SO_REUSEPORT, Number(on))
}

/**
 * Has the first `count` of the sockets that share the port, in the order in which they began to listen, take all new
 * connections, at random; those behind finish the handshakes they have begun. Linux. man 7 socket,
 * SO_ATTACH_REUSEPORT_CBPF @throws PosixError, UnsupportedError
 */
export function selectReusePort(fd: number, count: number): void {
  if (process.platform !== 'linux') throw new UnsupportedError('SO_ATTACH_REUSEPORT_CBPF', 'it is an option of Linux')
  const program = new Uint32Array(2 * SELECTION) // struct sock_filter { u16 code; u8 jt, jf; u32 k }
  program.set([BPF_LD_ABSOLUTE, SKF_RANDOM, BPF_MODULO, natural(count, 'count', 1), BPF_RETURN_A, 0])
  const header = new BigUint64Array([BigInt(SELECTION), addressOf(program)]) // struct sock_fprog { u16 len; filter* }
  check(c.setsockopt(descriptor(fd), platform.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, header, 16), 'setsockopt')
}

/** Has all sockets that share the port take new connections again. Linux. man 7 socket, SO_DETACH_REUSEPORT_BPF */
export function selectAllReusePort(fd: number): void {
  setsockoptInt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
}

const SO_ATTACH_REUSEPORT_CBPF = 51
const SO_DETACH_REUSEPORT_BPF = 68
// linux/filter.h: A = random; A %= k; return A.
const SELECTION = 3
const BPF_LD_ABSOLUTE = 0x20
const SKF_RANDOM = 0xfffff000 + 56 // SKF_AD_OFF + SKF_AD_RANDOM
const BPF_MODULO = 0x94
const BPF_RETURN_A = 0x16

/** Sends small segments at once, without Nagle's delay. TCP only. man 7 tcp, TCP_NODELAY */
export function setNoDelay(fd: number, on = true): void {
  setsockoptInt(fd, IPPROTO_TCP, TCP_NODELAY, Number(on))
}

/** Probes idle connections, so that dead peers are found. man 7 socket, SO_KEEPALIVE */
export function setKeepAlive(fd: number, on = true): void {
  setsockoptInt(fd, SOL_SOCKET, platform.SO_KEEPALIVE, Number(on))
}

/** Keeps an IPv6 socket from taking IPv4 as well; set it before bind. man 7 ipv6, IPV6_V6ONLY */
export function setIpv6Only(fd: number, on = true): void {
  setsockoptInt(fd, IPPROTO_IPV6, platform.IPV6_V6ONLY, Number(on))
}

/**
 * Makes a blocking recv or accept4 give up with -EAGAIN after `ms` milliseconds; 0 is never. man 7 socket, SO_RCVTIMEO
 */
export function setReceiveTimeout(fd: number, ms: number): void {
  setTimeoutOption(fd, platform.SO_RCVTIMEO, ms)
}

/**
 * Makes a blocking send or connect give up with -EAGAIN after `ms` milliseconds; 0 is never. man 7 socket, SO_SNDTIMEO
 */
export function setSendTimeout(fd: number, ms: number): void {
  setTimeoutOption(fd, platform.SO_SNDTIMEO, ms)
}

function setTimeoutOption(fd: number, name: number, ms: number): void {
  if (!(ms >= 0 && ms <= 0x7fffffff)) throw new RangeError(`a timeout is from 0 to 2147483647 ms: ${ms}`)
  option[0] = Math.trunc(ms / 1000)
  option[1] = 0
  option[2] = Math.round((ms % 1000) * 1000)
  option[3] = 0
  setOption(fd, SOL_SOCKET, name, 16)
}

/** Lets recv and poll wake only once `bytes` have arrived; default of the kernel: 1. man 7 socket, SO_RCVLOWAT */
export function setReceiveLowWater(fd: number, bytes: number): void {
  setsockoptInt(fd, SOL_SOCKET, platform.SO_RCVLOWAT, bytes)
}

/**
 * Makes close wait up to `seconds` for unsent bytes (0: reset at once), or, undefined, not at all. man 7 socket,
 * SO_LINGER
 */
export function setLinger(fd: number, seconds: number | undefined): void {
  option[0] = seconds === undefined ? 0 : 1
  option[1] = natural(seconds ?? 0, 'seconds of linger')
  setOption(fd, SOL_SOCKET, platform.SO_LINGER, 8)
}

/** Sizes the receive buffer, in bytes; Linux doubles it and cuts it at net.core.rmem_max. man 7 socket, SO_RCVBUF */
export function setReceiveBuffer(fd: number, bytes: number): void {
  setsockoptInt(fd, SOL_SOCKET, platform.SO_RCVBUF, bytes)
}

/** Returns the size of the send buffer in bytes, as the kernel counts it. Any thread. man 7 socket, SO_SNDBUF @throws PosixError */
export function getSendBuffer(fd: number): number {
  return getsockoptInt(fd, SOL_SOCKET, platform.SO_SNDBUF)
}

/** Sizes the send buffer, in bytes; Linux doubles it and cuts it at net.core.wmem_max. man 7 socket, SO_SNDBUF */
export function setSendBuffer(fd: number, bytes: number): void {
  setsockoptInt(fd, SOL_SOCKET, platform.SO_SNDBUF, bytes)
}

/** Takes the socket's pending error: 0, or a negative errno such as the outcome of a connect. man 7 socket, SO_ERROR */
export function getSocketError(fd: number): number {
  return 0 - getsockoptInt(fd, SOL_SOCKET, platform.SO_ERROR) // -0 would not be 0 to Object.is
}
