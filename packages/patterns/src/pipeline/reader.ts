/** The first stage: takes bytes out of sockets and puts them in front of the parser that has the connection. */

import type { Service, WorkloadRow } from '@cs/core'
import { ACCEPTED, monotonicTime } from '@cs/core/connection'
import { A, B, ID, PAYLOAD, Sheet, STAMP } from '@cs/core/crossing'
import { type Demultiplexer, READABLE } from '@cs/core/demux'
import { close, EAGAIN, EINTR, recv } from '@cs/core/posix'
import { PAUSED, READ_LEFT, WRITE_LEFT } from './lines.js'
import { OPENED, RECEIVED } from './records.js'
import type { PipelineShared } from './shared.js'

/** Bytes that one recv(2) may bring. */
const RECEIVE_BYTES = 64 * 1024

/** One a thread. */
export class Reader {
  readonly #shared: PipelineShared
  readonly #index: number
  readonly #service: Service
  readonly #demux: Demultiplexer
  readonly #sheet = new Sheet()
  /** Connections of which nothing is read, since their parser has enough. */
  readonly #resting = new Set<number>()
  readonly #load: WorkloadRow
  #size = 0

  constructor(shared: PipelineShared, index: number, service: Service, demux: Demultiplexer, load: WorkloadRow) {
    this.#shared = shared
    this.#index = index
    this.#service = service
    this.#demux = demux
    this.#load = load
  }

  /** Connections that it still watches. */
  get size(): number {
    return this.#size
  }

  /** Begins a connection that was just accepted. */
  enter(fd: number): void {
    const { table, owner, counters } = this.#service
    if (!table.enter(fd, owner)) return void close(fd)
    counters[ACCEPTED]++
    this.#shared.lines.begin(fd, owner, this.#index)
    this.#demux.add(fd, READABLE)
    this.#size++
    this.#put(OPENED, fd, 0)
  }

  /** Reads what has come; a connection that the last stage has left is left here too. */
  ready(fd: number): void {
    const { lines } = this.#shared
    const now = monotonicTime()
    this.#load.takes(now - this.#service.time, now) // since the demultiplexer told of it
    if (lines.is(fd, WRITE_LEFT)) return this.#leave(fd)
    const rests = this.#resting.has(fd) // and is reported all the same: it is broken, or at its end
    if (!rests && lines.is(fd, PAUSED)) return this.#rest(fd)
    const n = recv(fd, this.#sheet.bytes, PAYLOAD, RECEIVE_BYTES)
    if (n === -EAGAIN || n === -EINTR) return
    this.#put(RECEIVED, fd, n)
    if (n <= 0) this.#leave(fd)
  }

  /** Reads on from those whose parsers can take more. */
  resume(): void {
    const lane = this.#shared.read[this.#index]
    while (lane.take(this.#sheet)) {
      const fd = this.#sheet.words[ID]
      if (this.#resting.delete(fd)) this.#demux.modify(fd, READABLE)
    }
  }

  /** Calls the parsers for what was read. */
  readonly passOn = (): void => {
    const { parse, crossing } = this.#shared
    for (let i = 0; i < parse.length; i++) parse[i].call(crossing.callerBell(i))
  }

  #rest(fd: number): void {
    this.#resting.add(fd)
    this.#demux.modify(fd, 0)
  }

  #leave(fd: number): void {
    this.#demux.remove(fd)
    this.#resting.delete(fd)
    this.#size--
    this.#shared.lines.leave(fd, READ_LEFT, (each) => this.#service.table.leave(each))
  }

  #put(kind: number, fd: number, n: number): void {
    const { lines, parse } = this.#shared
    const sheet = this.#sheet
    const index = fd % parse.length
    sheet.begin(kind, fd, this.#index, Math.max(n, 0))
    sheet.words[A] = n
    sheet.words[B] = lines.serial(fd)
    sheet.words[STAMP] = (monotonicTime() * 1000) | 0
    parse[index].put(sheet, this.passOn)
  }
}
