/**
 * The door to the system: typed functions over the C library, a file for each group of man pages.
 *
 * Two kinds of calls. Hot ones (recv, send, accept4, epoll_wait, …) return n >= 0 or a negative errno and never throw
 * for what the system says; set-up ones (socket, bind, mmap, fork, …) throw PosixError. Both throw RangeError for
 * arguments that do not fit, before a pointer leaves TypeScript, and UnsupportedError where the platform lacks the
 * call.
 *
 * Nobody above sees a struct or a platform's number, and importing this works anywhere.
 */
export * from './address.js'
export * from './aio.js'
export * from './async.js'
export * from './epoll.js'
export * from './errors.js'
export { bindAll } from './ffi.js'
export * from './file.js'
export * from './inotify.js'
export * from './io_uring.js'
export * from './ioctl.js'
export { IOV_MAX } from './iovec.js'
export * from './kqueue.js'
export * from './memory.js'
export * from './pidfd.js'
export * from './pipe.js'
export { isSupported, platformName } from './platform.js'
export * from './poll.js'
export * from './process.js'
export * from './scheduler.js'
export * from './select.js'
export * from './signal.js'
export {
  accept4,
  bind,
  connect,
  getpeername,
  getSendBuffer,
  getSocketError,
  getsockname,
  getsockoptInt,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  listen,
  MSG_DONTWAIT,
  MSG_PEEK,
  readv,
  recv,
  recvPeek,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SOL_SOCKET,
  type SocketOptions,
  selectAllReusePort,
  selectReusePort,
  send,
  sendv,
  setIpv6Only,
  setKeepAlive,
  setLinger,
  setNoDelay,
  setReceiveBuffer,
  setReceiveLowWater,
  setReceiveTimeout,
  setReuseAddress,
  setReusePort,
  setSendBuffer,
  setSendTimeout,
  setsockoptInt,
  shutdown,
  socket,
  TCP_NODELAY,
} from './socket.js'
export * from './timerfd.js'
export * from './uv.js'
