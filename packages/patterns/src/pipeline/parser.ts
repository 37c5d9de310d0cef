/**
 * The second stage: has the connections with their HTTP machines, each on one thread, and makes no system call for them. Bytes
 * come from the first stage, requests go to the third and answers come back, and what is to be sent goes to the fourth.
 */

import {
  Caller,
  CLOSED,
  type Connection,
  ConnectionSet,
  READABLE,
  type Service,
  type Waiting,
  type WorkloadRow,
} from '@cs/core'
import type { Transport } from '@cs/core/connection'
import { A, B, ID, KIND, PAYLOAD, PIECE_BYTES, Sheet, STAMP } from '@cs/core/crossing'
import { EAGAIN, EPIPE } from '@cs/core/posix'
import type { Lane } from './lane.js'
import { BLOCKED, BROKEN, type Lines, PAUSED } from './lines.js'
import { CLOSE, OPENED, RESUME, SEND, SHUT } from './records.js'
import type { PipelineShared } from './shared.js'

/** Bytes on their way to one client beyond which its connection waits. */
const QUEUED_HIGH_WATER = 128 * 1024

/** The registration of a connection whose reader was told to look away. */
const RESTS = -3

/** One a thread. */
export class Parser {
  readonly connections: ConnectionSet
  readonly #caller: Caller
  readonly #shared: PipelineShared
  readonly #index: number
  readonly #service: Service
  readonly #sheet = new Sheet()
  /** Which connection of its descriptor each is. */
  readonly #serials: number[] = []
  readonly #load: WorkloadRow

  constructor(shared: PipelineShared, index: number, service: Service, load: WorkloadRow) {
    this.#shared = shared
    this.#index = index
    this.#service = service
    this.#load = load
    this.connections = new ConnectionSet(service, () => {})
    this.#caller = new Caller(shared.crossing, index, service)
    service.transport = new ToWriters(shared, service, this.#callAll)
  }

  /**
   * Takes the next of what was read, unless the third stage is full: then the lane fills, and reading stops. Tells whether
   * there was any.
   */
  takes(): boolean {
    const any = this.#caller.receive() || this.#takeDrained()
    if (this.#caller.isFull || !this.#shared.parse[this.#index].take(this.#sheet)) return any
    this.#service.tick()
    const { words, bytes } = this.#sheet
    const fd = words[ID]
    this.#load.takes(Math.max(0, (this.#service.time * 1000 - words[STAMP]) | 0) / 1000, this.#service.time)
    if (words[KIND] === OPENED) this.#open(fd, words[B])
    else if (this.#serials[fd] === words[B]) {
      const connection = this.connections.at(fd)
      const n = words[A]
      if (connection !== undefined) this.#heed(connection, connection.received(bytes.subarray(PAYLOAD), n))
    }
    return true
  }

  /** Lets bodies that move by promises come to rest, and calls the threads of the stages behind for what there is for them. */
  async passOn(): Promise<void> {
    await this.#caller.settle()
    this.#callAll()
  }

  /** Says that the thread is about to sleep; false where there is something to take. */
  liesDown(): boolean {
    return this.#caller.lieDown(-1) !== 0 && this.isIdle
  }

  /** True where there is nothing to take. */
  get isIdle(): boolean {
    if (this.#shared.drained[this.#index].size > 0) return false
    return this.#caller.isFull || this.#shared.parse[this.#index].isEmpty
  }

  /** Once for all that was put: who is called finds several. */
  readonly #callAll = (): void => {
    const { crossing, write } = this.#shared
    crossing.call()
    for (const lane of write) lane.call()
  }

  #open(fd: number, serial: number): void {
    this.#serials[fd] = serial
    const connection = this.connections.take(fd)
    connection.onProgress = () => this.#heed(connection, connection.waiting)
  }

  /** Goes on with connections whose clients have made room, or have left. */
  #takeDrained(): boolean {
    const queue = this.#shared.drained[this.#index]
    if (queue.size === 0) return false
    this.#service.tick()
    for (let fd = queue.tryTake(); typeof fd === 'number'; fd = queue.tryTake()) {
      const connection = this.connections.at(fd)
      if (connection !== undefined) {
        this.#heed(connection, connection.sent(this.#shared.lines.is(fd, BROKEN) ? -EPIPE : 0))
      }
    }
    return true
  }

  /** Has the reader look away from a connection that has sent far ahead, and back. */
  #heed(connection: Connection, waiting: Waiting): void {
    const { fd } = connection
    if (waiting === CLOSED) this.connections.forget(connection)
    else if (waiting === READABLE && connection.registered === RESTS) {
      connection.registered = READABLE
      this.#shared.lines.clear(fd, PAUSED)
      this.#sheet.begin(RESUME, fd, this.#index, 0)
      const lane = this.#shared.read[this.#shared.lines.reader(fd)]
      lane.put(this.#sheet, this.#callAll)
      lane.call()
    } else if (connection.sated && connection.registered !== RESTS) {
      connection.registered = RESTS
      this.#shared.lines.set(fd, PAUSED)
    }
  }
}

/** Hands what connections write to the fourth stage, which has them until their clients take them. */
class ToWriters implements Transport {
  readonly completes = false
  readonly #lines: Lines
  readonly #lanes: readonly Lane[]
  readonly #service: Service
  readonly #callAll: () => void
  readonly #sheet = new Sheet()

  constructor({ lines, write }: PipelineShared, service: Service, callAll: () => void) {
    this.#callAll = callAll
    this.#lines = lines
    this.#lanes = write
    this.#service = service
  }

  send(fd: number, bytes: Uint8Array, length: number): number {
    if (this.#lines.is(fd, BROKEN)) return -EPIPE
    if (!this.#hasRoom(fd)) return -EAGAIN
    this.#lines.queue(fd, length)
    for (let at = 0; at < length; at += PIECE_BYTES) {
      const n = Math.min(PIECE_BYTES, length - at)
      this.#sheet.begin(SEND, fd, 0, n)
      this.#sheet.words[A] = n
      this.#sheet.bytes.set(n === bytes.length ? bytes : bytes.subarray(at, at + n), PAYLOAD)
      this.#put(fd)
    }
    return length
  }

  sendv(fd: number, chunks: readonly Uint8Array[]): number {
    let sent = 0
    for (const chunk of chunks) {
      const n = this.send(fd, chunk, chunk.length)
      if (n < 0) return sent === 0 ? n : sent
      sent += n
    }
    return sent
  }

  /** What the client sent is in the lane or not there. */
  unread(): number {
    return -EAGAIN
  }

  shutdown(fd: number): void {
    this.#sheet.begin(SHUT, fd, 0, 0)
    this.#put(fd)
  }

  /** The descriptor stays open until the other stages have left it, and is the reader's until then. */
  close(fd: number): void {
    this.#service.table.enter(fd, this.#lines.owner(fd))
    this.#sheet.begin(CLOSE, fd, 0, 0)
    this.#put(fd)
  }

  #put(fd: number): void {
    this.#sheet.words[STAMP] = (this.#service.time * 1000) | 0
    this.#lanes[fd % this.#lanes.length].put(this.#sheet, this.#callAll)
  }

  /** True where little is on its way to the client; if not, the writer says when that has changed. */
  #hasRoom(fd: number): boolean {
    if (this.#lines.queued(fd) < QUEUED_HIGH_WATER) return true
    this.#lines.set(fd, BLOCKED) // before the second look: who takes away afterwards sees it
    if (this.#lines.queued(fd) >= QUEUED_HIGH_WATER) return false
    this.#lines.clear(fd, BLOCKED)
    return true
  }
}
