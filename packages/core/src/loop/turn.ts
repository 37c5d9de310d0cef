/**
 * A turn of libuv for a thread that otherwise blocks in calls of its own: timers, I/O, nextTick and promise queues all go on,
 * and then control comes back.
 *
 * Two ways back that suggest themselves fail. After setImmediate libuv reports for as long as we are inside its callback
 * that it has something to do, so nobody could tell whether it has. A MessagePort hands over up to 1,000 messages before it
 * lets libuv go on. Hence a byte through a pipe, read by libuv in its poll phase.
 */

import { Socket } from 'node:net'
import { pipe2, write } from '../posix/index.js'

const BYTE = new Uint8Array(1)

/** Owner thread only. */
export class Turn {
  /** When the last turn ended, on the clock of performance.now(). */
  last: number = performance.now()
  readonly #signal: number
  /** Owns the descriptor of the signal, so that it is closed even where the thread dies. */
  readonly #signaller: Socket
  readonly #socket: Socket
  readonly #keepsAlive: boolean
  #resume: () => void = () => {}

  /** @param keepsAlive whether libuv counts as alive between turns; without, its own timers alone (V8 has some) do not tell. */
  constructor(keepsAlive: boolean) {
    this.#keepsAlive = keepsAlive
    const [theirs, ours] = pipe2({ nonblocking: true })
    this.#signal = ours
    this.#signaller = new Socket({ fd: ours, readable: false, writable: true }).on('error', () => {}).unref()
    const callback = (): boolean => {
      this.#resume()
      return true
    }
    const options = { fd: theirs, readable: true, writable: false, onread: { buffer: new Uint8Array(16), callback } }
    this.#socket = new Socket(options as ConstructorParameters<typeof Socket>[0]).on('error', () => {}).resume()
    if (!keepsAlive) this.#socket.unref()
  }

  /** Gives libuv one whole turn. */
  async take(): Promise<void> {
    if (!this.#keepsAlive) this.#socket.ref()
    await new Promise<void>((resolve) => {
      this.#resume = resolve
      write(this.#signal, BYTE, 0, 1)
    })
    if (!this.#keepsAlive) this.#socket.unref()
    this.last = performance.now()
  }

  close(): void {
    this.#socket.destroy()
    this.#signaller.destroy()
  }
}
