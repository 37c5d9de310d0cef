/**
 * The last stage: sends what parsers have written. What a client does not take waits here, watched by a demultiplexer, and holds
 * no thread.
 */

import type { Service, WorkloadRow } from '@cs/core'
import { A, ID, KIND, PAYLOAD, Sheet, STAMP } from '@cs/core/crossing'
import { type Demultiplexer, WRITABLE } from '@cs/core/demux'
import { skip } from '@cs/core/http'
import { EAGAIN, EINTR, SHUT_RDWR, SHUT_WR, send, sendv, shutdown } from '@cs/core/posix'
import { BLOCKED, BROKEN, WRITE_LEFT } from './lines.js'
import { type CLOSE, SEND, SHUT } from './records.js'
import type { PipelineShared } from './shared.js'

/** Bytes on their way to a client below which its connection goes on. */
const QUEUED_LOW_WATER = 64 * 1024

/** Milliseconds between two looks at which clients take nothing. */
const SWEEP_MS = 500

/** What waits for a client to take it, and what is to follow. */
interface Backlog {
  chunks: Uint8Array[]
  since: number
  next: typeof SEND | typeof SHUT | typeof CLOSE
}

/** One a thread. */
export class Writer {
  readonly #shared: PipelineShared
  readonly #index: number
  readonly #service: Service
  readonly #demux: Demultiplexer
  readonly #sheet = new Sheet()
  readonly #backlogs = new Map<number, Backlog>()
  readonly #load: WorkloadRow
  #sweepAt = 0

  constructor(shared: PipelineShared, index: number, service: Service, demux: Demultiplexer, load: WorkloadRow) {
    this.#shared = shared
    this.#index = index
    this.#service = service
    this.#demux = demux
    this.#load = load
  }

  /** Connections whose clients have something to take. */
  get size(): number {
    return this.#backlogs.size
  }

  /** Milliseconds until {@link sweep} should be called, -1 where it need not. */
  get timeout(): number {
    return this.#backlogs.size === 0 ? -1 : SWEEP_MS
  }

  /** Takes the next record; false where there is none. */
  takes(): boolean {
    if (!this.#shared.write[this.#index].take(this.#sheet)) return false
    this.#service.tick()
    const { words } = this.#sheet
    this.#load.takes(Math.max(0, (this.#service.time * 1000 - words[STAMP]) | 0) / 1000, this.#service.time)
    const fd = words[ID]
    const backlog = this.#backlogs.get(fd)
    if (words[KIND] === SEND) this.#send(fd, words[A], backlog)
    else if (backlog !== undefined) backlog.next = words[KIND] as typeof SHUT | typeof CLOSE
    else this.#end(fd, words[KIND])
    return true
  }

  /** Sends on to a client that takes more. */
  ready(fd: number): void {
    const backlog = this.#backlogs.get(fd)
    if (backlog === undefined) return
    const n = sendv(fd, backlog.chunks)
    if (n === -EAGAIN || n === -EINTR) return
    if (n < 0) return this.#break(fd, backlog)
    backlog.chunks = skip(backlog.chunks, n)
    backlog.since = this.#service.now
    this.#gone(fd, n)
    if (backlog.chunks.length === 0) this.#forget(fd, backlog)
  }

  /** Gives up on clients that have taken nothing for too long. */
  sweep(): void {
    const { now, timeouts } = this.#service
    if (this.#backlogs.size === 0 || ((now - this.#sweepAt) | 0) < 0) return
    this.#sweepAt = (now + SWEEP_MS) | 0
    for (const [fd, backlog] of this.#backlogs) {
      if (timeouts.write > 0 && ((now - backlog.since) | 0) >= timeouts.write) this.#break(fd, backlog)
    }
  }

  #send(fd: number, length: number, backlog: Backlog | undefined): void {
    const { bytes } = this.#sheet
    if (backlog !== undefined) {
      backlog.chunks.push(new Uint8Array(bytes.subarray(PAYLOAD, PAYLOAD + length)))
      return
    }
    if (this.#shared.lines.is(fd, BROKEN)) return
    let n = send(fd, bytes, PAYLOAD, length)
    if (n < 0 && n !== -EAGAIN && n !== -EINTR) return this.#break(fd, undefined)
    n = Math.max(n, 0)
    if (n < length) {
      const rest = new Uint8Array(bytes.subarray(PAYLOAD + n, PAYLOAD + length))
      this.#backlogs.set(fd, { chunks: [rest], since: this.#service.now, next: SEND })
      this.#demux.add(fd, WRITABLE)
    }
    if (n > 0) this.#gone(fd, n)
  }

  /** The client took bytes: the parser that waits for that is told. */
  #gone(fd: number, bytes: number): void {
    const { lines } = this.#shared
    if (lines.queue(fd, -bytes) < QUEUED_LOW_WATER && lines.is(fd, BLOCKED) && lines.clear(fd, BLOCKED)) this.#tell(fd)
  }

  /** The client takes no more: what was for it is dropped. */
  #break(fd: number, backlog: Backlog | undefined): void {
    this.#shared.lines.set(fd, BROKEN)
    if (backlog !== undefined) this.#forget(fd, backlog)
    this.#tell(fd)
  }

  #forget(fd: number, { next }: Backlog): void {
    this.#backlogs.delete(fd)
    this.#demux.remove(fd)
    if (next !== SEND) this.#end(fd, next)
  }

  #tell(fd: number): void {
    const { drained, crossing } = this.#shared
    const parser = fd % drained.length
    drained[parser].tryPut(fd)
    crossing.callerBell(parser).ring()
  }

  #end(fd: number, how: number): void {
    if (how === SHUT) return void shutdown(fd, SHUT_WR)
    shutdown(fd, SHUT_RDWR) // the reader hears of it from the kernel, and leaves too
    this.#shared.lines.leave(fd, WRITE_LEFT, (each) => this.#service.table.leave(each))
  }
}
