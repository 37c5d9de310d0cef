import { close, MSG_DONTWAIT, recv, SHUT_WR, send, sendv, shutdown } from '../posix/index.js'

/** How the bytes of a thread's connections leave, and how connections end. */
export interface Transport {
  /**
   * False where what `send` and `sendv` take is gone when they return; true where they start an operation that takes a copy, one
   * a connection at a time, and `Connection.sent` is called when it is complete.
   */
  readonly completes: boolean
  /** Sends from bytes[0, length): how many it took, or a negative errno (-EAGAIN: none now). */
  send(fd: number, bytes: Uint8Array, length: number): number
  /** Sends the chunks one after another, likewise. */
  sendv(fd: number, chunks: readonly Uint8Array[]): number
  /** Takes what the client sent and nobody will read: n, 0 at the end of the stream, -EAGAIN where nothing is there. */
  unread(fd: number, into: Uint8Array): number
  /** Sends the end of the stream. */
  shutdown(fd: number): void
  /** Closes the descriptor; what was taken before still leaves as far as the socket has room. */
  close(fd: number): void
}

/** Each is a system call. */
export const transportOfCalls: Transport = {
  completes: false,
  send: (fd, bytes, length) => send(fd, bytes, 0, length),
  sendv: (fd, chunks) => sendv(fd, chunks),
  unread: (fd, into) => recv(fd, into, 0, into.length, MSG_DONTWAIT),
  shutdown: (fd) => void shutdown(fd, SHUT_WR),
  close: (fd) => void close(fd),
}
