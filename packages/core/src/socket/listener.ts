/**
 * A listening socket: how it is opened, how connections are taken from it, and how a thread blocked on it is stopped.
 *
 *   open() ─▶ [any thread, any process that inherits the fd] ─▶ take() until STOPPED ─▶ close() by whoever opened it
 *
 * What goes wrong with one connection (ECONNABORTED, EPROTO, a network error that was pending on it; man 2 accept) is not an
 * error of the listener: the next one is taken. Out of descriptors, accepting pauses and the backlog waits.
 */

import { closeSync, lstatSync, openSync, unlinkSync } from 'node:fs'
import {
  accept4,
  bind,
  close,
  connect,
  EAGAIN,
  EBADF,
  ECONNREFUSED,
  EINTR,
  EINVAL,
  EMFILE,
  ENFILE,
  ENOBUFS,
  ENOMEM,
  ENOTSOCK,
  formatAddress,
  getsockname,
  listen,
  POLLHUP,
  POLLIN,
  pollOne,
  SHUT_RDWR,
  type SocketAddress,
  send,
  setIpv6Only,
  setNoDelay,
  setNonBlocking,
  setReuseAddress,
  setReusePort,
  shutdown,
  socket,
} from '../posix/index.js'

/** Where and how to listen. */
export interface ListenOptions {
  /** An IPv4 or IPv6 address with a port (0: any free one), or the path of a Unix socket. */
  readonly address: SocketAddress
  /** Connections that may wait to be accepted, cut by the kernel at net.core.somaxconn. Default: 4096. */
  readonly backlog?: number
  /**
   * Whether other sockets may listen on the same port (SO_REUSEPORT, man 7 socket); `'first'`: others may follow, but none may
   * be there already. Default: false.
   */
  readonly reusePort?: boolean | 'first'
  /** Whether accept4 returns at once where nothing waits. Default: false. */
  readonly nonblocking?: boolean
}

/** What {@link Listener.take} gives instead of a descriptor. */
export const NONE_WAITING: number = -1
export const STOPPED: number = -2
export const EXHAUSTED: number = -3

/** Milliseconds for which accepting pauses when the process or the system is out of descriptors. */
export const EXHAUSTED_PAUSE_MS = 50

/** Milliseconds out of descriptors after which waiting clients are told so instead of left hanging. */
const REFUSE_AFTER_MS = 5000

const REFUSAL = Buffer.from(
  'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\nconnection: close\r\n\r\n',
)

export class Listener {
  readonly address: SocketAddress
  /** Set by whoever takes connections; called where a stop reaches its thread while it waits for a handler. */
  onStop: (() => void) | undefined
  #fd: number
  readonly #owner: boolean
  readonly #stopping: () => boolean
  readonly #staysOpen: () => boolean
  #reserve = -1
  #exhaustedSince = 0

  private constructor(
    fd: number,
    address: SocketAddress,
    owner: boolean,
    stopping: () => boolean,
    staysOpen: () => boolean,
  ) {
    this.#fd = fd
    this.address = address
    this.#owner = owner
    this.#stopping = stopping
    this.#staysOpen = staysOpen
  }

  /**
   * Opens a listening socket. IPv6 `::` takes IPv4 too. A Unix socket file that nobody listens on is replaced.
   * @throws PosixError, with the address in its message: EADDRINUSE, EACCES, EADDRNOTAVAIL, …
   */
  static open(options: ListenOptions): Listener {
    const { address, backlog = 4096, reusePort = false, nonblocking = false } = options
    const fd = socket(address.family, { nonblocking })
    try {
      if (address.family === 'unix') removeStale(address)
      else prepareInternet(fd, address.family, reusePort === true)
      bind(fd, address)
      if (reusePort === 'first') setReusePort(fd) // a bind without it is refused where anybody listens
      listen(fd, backlog)
      return new Listener(fd, getsockname(fd), true, never, never)
    } catch (error) {
      close(fd)
      throw error
    }
  }

  /**
   * Makes the listener of a thread or process that was handed the descriptor; `stopping` tells when to take no more, and
   * `staysOpen` whether others go on taking then.
   */
  static adopt(
    fd: number,
    address: SocketAddress,
    stopping: () => boolean,
    staysOpen: () => boolean = never,
  ): Listener {
    return new Listener(fd, address, false, stopping, staysOpen)
  }

  /** -1 once it is closed. */
  get fd(): number {
    return this.#fd
  }

  /** True once nothing more is to be accepted than what waits already. */
  get stopping(): boolean {
    return this.#stopping()
  }

  /** True when a connection waits to be accepted (poll(2), without blocking). Any thread. */
  get waiting(): boolean {
    return this.#fd >= 0 && pollOne(this.#fd, POLLIN, 0) > 0
  }

  /**
   * Takes the next connection; on a blocking listener it waits in accept(2).
   * @returns its descriptor, or {@link NONE_WAITING} (a non-blocking listener, or one that is draining), or {@link STOPPED}
   * once a stop was asked for and the backlog is empty or a signal came, or {@link EXHAUSTED}: pause before the next call.
   */
  take(nonblocking: boolean): number {
    for (;;) {
      const fd = accept4(this.#fd, nonblocking)
      if (fd >= 0) {
        if (this.#reserve < 0) this.keepReserve()
        this.#exhaustedSince = 0
        return fd
      }
      switch (-fd) {
        case EINTR:
          if (this.#stopping()) return STOPPED
          break
        case EAGAIN:
          return this.#stopping() ? STOPPED : NONE_WAITING
        case EINVAL:
        case EBADF:
        case ENOTSOCK:
          return STOPPED
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
          return this.#exhausted()
      }
    }
  }

  /**
   * Wakes one thread or process that is blocked in accept(2), with a connection that closes at once. Loses no other. Does
   * nothing where no descriptor is left: call it again.
   */
  wake(): void {
    let fd: number
    try {
      fd = socket(this.address.family, { nonblocking: true })
    } catch {
      return
    }
    connect(fd, reachable(this.address))
    close(fd)
  }

  /** Makes accept4 return at once where nothing waits, for everybody who shares the socket: the first step of a drain. */
  unblock(): void {
    setNonBlocking(this.#fd, true)
  }

  /**
   * Takes all that wait and stops listening, for everybody who shares the socket, so that whoever connects from then on is
   * refused. The backlog is narrowed first: what comes while it is being emptied is dropped before it is established, and
   * the client's next SYN is refused, instead of a connection being reset with its request. Takes none where others go on
   * taking. Any thread or process.
   */
  takeLast(nonblocking: boolean): number[] {
    const last: number[] = []
    if (this.#staysOpen()) return last
    // Where somebody else was first, listen(2) would open the port again.
    if (this.#fd < 0 || pollOne(this.#fd, 0, 0) & POLLHUP) return last
    try {
      listen(this.#fd, 0)
    } catch {
      return last
    }
    for (let fd = 0; this.waiting && (fd = this.take(nonblocking)) >= 0; ) last.push(fd)
    this.refuse()
    return last
  }

  /** Stops listening at once and wakes every accept(2): what waits in the backlog is reset. Any thread or process. */
  refuse(): void {
    if (this.#fd >= 0) shutdown(this.#fd, SHUT_RDWR)
  }

  /** Closes the descriptor; whoever opened it also removes the file of a Unix socket. */
  close(): void {
    if (this.#fd < 0) return
    close(this.#fd)
    this.#fd = -1
    this.release()
    if (this.#owner && this.address.family === 'unix') removeFile(this.address.path)
  }

  /** Gives back what a thread that takes no more holds besides the descriptor, which is the opener's. */
  release(): void {
    if (this.#reserve >= 0) closeSync(this.#reserve)
    this.#reserve = -1
  }

  /** Keeps a descriptor in reserve from the start, as `take` does at the latest: whoever accepts holds the same all the time. */
  keepReserve(): void {
    if (this.#reserve >= 0) return
    try {
      this.#reserve = openSync('/dev/null', 'r') // by Node, which closes what a worker thread leaves when it dies
    } catch {
      // none to be had now; the next accepted connection tries again
    }
  }

  toString(): string {
    return formatAddress(this.address)
  }

  /** The reserve descriptor lets one waiting client at a time be told, once the shortage has lasted. */
  #exhausted(): number {
    const now = Date.now()
    if (this.#exhaustedSince === 0) this.#exhaustedSince = now
    if (now - this.#exhaustedSince < REFUSE_AFTER_MS || this.#reserve < 0 || !this.waiting) return EXHAUSTED
    closeSync(this.#reserve)
    const fd = accept4(this.#fd, true)
    if (fd >= 0) {
      send(fd, REFUSAL, 0, REFUSAL.length)
      close(fd)
    }
    this.#reserve = -1
    this.keepReserve()
    return EXHAUSTED
  }
}

function never(): boolean {
  return false
}

function prepareInternet(fd: number, family: 'ipv4' | 'ipv6', reusePort: boolean): void {
  setReuseAddress(fd)
  if (reusePort) setReusePort(fd)
  if (family === 'ipv6') setIpv6Only(fd, false)
  setNoDelay(fd) // accepted sockets inherit it: one call instead of one for each connection
}

/** Removes the socket file that a dead server left; one that answers is left alone and bind reports EADDRINUSE. */
function removeStale(address: SocketAddress & { readonly family: 'unix' }): void {
  if (address.path.startsWith('\0')) return
  const probe = socket('unix', { nonblocking: true }) // a full backlog must not block us
  const result = connect(probe, address)
  close(probe)
  // connect(2) is refused by a file of any other kind too
  if (result === -ECONNREFUSED && lstatSync(address.path).isSocket()) removeFile(address.path)
}

function removeFile(path: string): void {
  if (path.startsWith('\0')) return
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** The address at which this machine reaches a listener bound to any address. */
function reachable(address: SocketAddress): SocketAddress {
  if (address.family === 'ipv4' && address.host === '0.0.0.0') return { ...address, host: '127.0.0.1' }
  if (address.family === 'ipv6' && address.host === '::') return { ...address, host: '::1' }
  return address
}
