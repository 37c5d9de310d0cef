/**
 * The shared memory between threads that have connections, the callers, and threads that run handlers, the answerers.
 *
 *   callers ── requests, one queue ─▶ whichever answerer is free          callers ── inbox ─▶ that answerer
 *                                     callers ◀─ replies, a ring each ── answerers
 *
 * Whoever puts something into a queue rings for somebody who sleeps. Of the answerers the one with the lowest index is called,
 * whose caches are warm, and only so many at a time as there are processors; one that comes calls the next where there is more.
 */

import { type SharedWakeup, Wakeup } from '../demux/index.js'
import { RecordRing, registerShareable, type Shareable, type Shared } from '../sync/index.js'
import { Bell } from './bell.js'
import { DIED } from './records.js'
import { A, RECORD_BYTES, Sheet } from './sheet.js'

const KIND = 'crossing'

/** Requests in the queue. Callers add, answerers subtract. */
const DEPTH = 0
/** The most that were ever there. */
const HIGH_WATER = 1
/** 1 while a caller waits for room. */
const STARVED = 2
/** Answerers that were called and have not come. Who calls adds, who comes subtracts. */
const PENDING = 3
/** Answerers that are still to be dismissed. */
const DISMISSALS = 4
/** Grows by one with each caller that starts. */
const LIVES = 5
/** Times that a caller found the queue full. */
const STALLS = 6
/** Written once, before the crossing is shared. */
const WAITING = 7
const PROCESSORS = 8
/** A bell for each caller, then for each answerer; then for each of these the request that it has in hand. */
const BELLS = 9

/** Bytes of the rings. What waits for certain threads is short, or bounded by the windows of bodies. */
const INBOX_BYTES = 4 * RECORD_BYTES
const REPLY_BYTES = 1 << 20
const LEAST_QUEUE_BYTES = 1 << 19
const MOST_QUEUE_BYTES = 1 << 24
const TYPICAL_REQUEST_BYTES = 1024

/** Milliseconds for which the host waits for a caller that has no room for the news of a death. */
const PATIENCE_MS = 1000

export interface CrossingSettings {
  /** Threads that have connections. Default: 1. */
  readonly callers?: number
  /** The most threads that there may be to run handlers. */
  readonly answerers: number
  /** How many of them can run at once. */
  readonly processors: number
  /** Requests that may wait for an answerer; beyond it, or where they take too much memory, callers stop reading. */
  readonly waiting: number
  /** Whether callers wait in a demultiplexer, out of which a wakeup gets them, or on their bells. Default: false. */
  readonly wakeups?: boolean
}

interface SharedCrossing extends Shared {
  readonly requests: Shared
  readonly inboxes: readonly Shared[]
  readonly replies: readonly Shared[]
  readonly wakeups: readonly SharedWakeup[]
}

/** What a queue of requests says of itself. */
export interface QueueReport {
  readonly depth: number
  readonly capacity: number
  readonly highWater: number
  /** Times that it was full, so that reading from clients stopped. */
  readonly full: number
}

/** The parts of a crossing that have shared memory of their own. */
interface Rings {
  readonly requests: RecordRing
  readonly inboxes: readonly RecordRing[]
  readonly replies: readonly RecordRing[]
  readonly wakeups: readonly Wakeup[]
}

export class Crossing implements Shareable {
  readonly #cells: Int32Array
  readonly #rings: Rings
  /** One for each caller, and one for each answerer. */
  readonly #callerBells: readonly Bell[]
  readonly #bells: readonly Bell[]

  private constructor(buffer: SharedArrayBuffer, rings: Rings) {
    this.#cells = new Int32Array(buffer)
    this.#rings = rings
    this.#callerBells = rings.replies.map((_, caller) => new Bell(this.#cells, BELLS + caller, rings.wakeups[caller]))
    const first = BELLS + rings.replies.length
    this.#bells = rings.inboxes.map((_, answerer) => new Bell(this.#cells, first + answerer))
  }

  /** Makes a crossing; {@link dispose} gives its descriptors back. */
  static create({ callers = 1, answerers, processors, waiting, wakeups = false }: CrossingSettings): Crossing {
    const queueBytes = Math.min(Math.max(waiting * TYPICAL_REQUEST_BYTES, LEAST_QUEUE_BYTES), MOST_QUEUE_BYTES)
    const rings: Rings = {
      requests: RecordRing.create(queueBytes),
      inboxes: Array.from({ length: answerers }, () => RecordRing.create(INBOX_BYTES)),
      replies: Array.from({ length: callers }, () => RecordRing.create(REPLY_BYTES)),
      wakeups: wakeups ? openWakeups(callers) : [],
    }
    const crossing = new Crossing(new SharedArrayBuffer((BELLS + callers + 2 * answerers) * 4), rings)
    crossing.#cells[WAITING] = waiting
    crossing.#cells[PROCESSORS] = processors
    return crossing
  }

  /** Opens the crossing that another thread shared. Any thread. */
  static from(shared: Shared): Crossing {
    const { kind, buffer, requests, inboxes, replies, wakeups } = shared as SharedCrossing
    if (kind !== KIND) throw new TypeError(`expected a ${KIND}; the kind given is '${kind}'`)
    return new Crossing(buffer, {
      requests: RecordRing.from(requests),
      inboxes: inboxes.map(RecordRing.from),
      replies: replies.map(RecordRing.from),
      wakeups: wakeups.map(Wakeup.from),
    })
  }

  share(): Shared {
    const { requests, inboxes, replies, wakeups } = this.#rings
    const shared: SharedCrossing = {
      kind: KIND,
      buffer: this.#cells.buffer as SharedArrayBuffer,
      requests: requests.share(),
      inboxes: inboxes.map((ring) => ring.share()),
      replies: replies.map((ring) => ring.share()),
      wakeups: wakeups.map((wakeup) => wakeup.share()),
    }
    return shared
  }

  /** What the queue of requests holds now, and has held. Any thread. */
  get queue(): QueueReport {
    const cells = this.#cells
    const [depth, highWater, full] = [DEPTH, HIGH_WATER, STALLS].map((cell) => Atomics.load(cells, cell))
    return { depth: Math.max(0, depth), capacity: cells[WAITING], highWater, full }
  }

  // --- callers ---

  callerBell(caller: number): Bell {
    return this.#callerBells[caller]
  }

  /** What ends the wait of a caller that waits in a demultiplexer. */
  wakeupOf(caller: number): Wakeup {
    return this.#rings.wakeups[caller]
  }

  /** Numbers the lives of callers, so that one that was restarted gets no answers to questions of the one before. */
  startCaller(): number {
    return Atomics.add(this.#cells, LIVES, 1)
  }

  /** Puts a request if there is room; after 'full' the caller's bell rings when there is. Callers. */
  put(sheet: Sheet): 'written' | 'full' | 'closed' {
    const outcome = this.#tryPut(sheet)
    if (outcome !== 'full') return outcome
    Atomics.store(this.#cells, STARVED, 1) // before the second look: who takes afterwards sees it
    return this.#tryPut(sheet)
  }

  /** Counts that the queue was full. Callers. */
  stall(): void {
    Atomics.add(this.#cells, STALLS, 1)
  }

  #tryPut(sheet: Sheet): 'written' | 'full' | 'closed' {
    const cells = this.#cells
    const depth = Atomics.add(cells, DEPTH, 1) + 1
    const outcome = depth > cells[WAITING] ? 'full' : sheet.tryWriteTo(this.#rings.requests)
    if (outcome !== 'written') {
      Atomics.sub(cells, DEPTH, 1)
      return outcome
    }
    if (depth > cells[HIGH_WATER]) cells[HIGH_WATER] = depth // a statistic: of two callers one may be lost
    return outcome
  }

  /** Calls an answerer for what was put, if enough are not on their way. Callers, once for all that they have put. */
  call(): void {
    if (Atomics.load(this.#cells, DEPTH) <= 0) return
    if (Atomics.load(this.#cells, PENDING) >= this.#cells[PROCESSORS]) return
    for (const bell of this.#bells) if (this.#wake(bell)) return
  }

  /** Leaves something for one answerer if there is room; after 'full' the caller's bell rings when there is. Callers. */
  send(answerer: number, sheet: Sheet): 'written' | 'full' | 'closed' {
    const inbox = this.#rings.inboxes[answerer]
    let outcome = sheet.tryWriteTo(inbox)
    if (outcome === 'full') {
      Atomics.store(this.#cells, STARVED, 1)
      outcome = sheet.tryWriteTo(inbox)
    }
    if (outcome === 'written') this.#wake(this.#bells[answerer])
    return outcome
  }

  /** Takes the next answer for a caller; false where there is none. That caller only. */
  collect(caller: number, sheet: Sheet): boolean {
    return sheet.readFrom(this.#rings.replies[caller])
  }

  /** True where there are answers for a caller. */
  hasReplies(caller: number): boolean {
    return this.#rings.replies[caller].used > 0
  }

  // --- answerers ---

  bell(answerer: number): Bell {
    return this.#bells[answerer]
  }

  /** Says that an answerer is awake, and looks for more. That answerer only. */
  arrive(answerer: number): void {
    if (this.#bells[answerer].rise()) Atomics.sub(this.#cells, PENDING, 1)
  }

  /** Takes the next request, and calls somebody for the one behind it; false where there is none. Answerers. */
  take(sheet: Sheet): boolean {
    if (!sheet.readFrom(this.#rings.requests)) return false
    if (Atomics.sub(this.#cells, DEPTH, 1) > 1) this.call()
    this.#feed()
    return true
  }

  /** Takes what was left for an answerer; false where there is nothing. That answerer only. */
  receive(answerer: number, sheet: Sheet): boolean {
    if (!sheet.readFrom(this.#rings.inboxes[answerer])) return false
    this.#feed()
    return true
  }

  /** True where something was left for an answerer. Any thread. */
  hasMail(answerer: number): boolean {
    return this.#rings.inboxes[answerer].used > 0
  }

  /** True where a request waits. Any thread. */
  get hasRequests(): boolean {
    return this.#rings.requests.used > 0
  }

  /** Gives a caller an answer, blocking while it has too many. Answerers. */
  reply(caller: number, sheet: Sheet): void {
    const ring = this.#rings.replies[caller]
    if (sheet.tryWriteTo(ring) === 'full') {
      this.#callerBells[caller].ring()
      sheet.writeTo(ring)
    }
    this.#callerBells[caller].ring()
  }

  /** Wakes an answerer, which has nothing to take but something to do. Any thread. */
  stir(answerer: number): void {
    this.#wake(this.#bells[answerer])
  }

  /** Notes which request an answerer has in hand, for the case that it dies of it; 0 for none. That answerer only. */
  hold(answerer: number, id: number): void {
    this.#cells[this.#heldAt(answerer)] = id
  }

  /** True, once for each dismissal, where the answerer that asks is to leave. */
  isDismissed(): boolean {
    const cells = this.#cells
    for (let left = Atomics.load(cells, DISMISSALS); left > 0; left = Atomics.load(cells, DISMISSALS)) {
      if (Atomics.compareExchange(cells, DISMISSALS, left, left - 1) === left) return true
    }
    return false
  }

  // --- the host ---

  /** Has one answerer leave, the coldest unless another comes first. Any thread. */
  dismiss(): void {
    Atomics.add(this.#cells, DISMISSALS, 1)
    for (let i = this.#bells.length - 1; i >= 0; i--) if (this.#wake(this.#bells[i])) return
  }

  /** Tells the callers that an answerer has died, with what it had taken. The host only, before another has its index. */
  forget(answerer: number): void {
    const held = this.#heldAt(answerer)
    const sheet = new Sheet()
    sheet.begin(DIED, 0, answerer, 0)
    sheet.words[A] = this.#cells[held]
    this.#cells[held] = 0
    this.arrive(answerer)
    this.call()
    for (const [caller, ring] of this.#rings.replies.entries()) {
      this.#callerBells[caller].ring()
      sheet.writeTo(ring, PATIENCE_MS)
      this.#callerBells[caller].ring()
    }
  }

  /** Says that no request will come any more, and wakes everybody. Any thread. */
  close(): void {
    const { requests, inboxes, replies } = this.#rings
    for (const ring of [requests, ...inboxes, ...replies]) ring.close()
    for (const bell of this.#callerBells) bell.ring()
    for (const bell of this.#bells) this.#wake(bell)
  }

  get closed(): boolean {
    return this.#rings.requests.closed
  }

  /** Gives the descriptors back, once no thread uses them. */
  dispose(): void {
    for (const wakeup of this.#rings.wakeups) wakeup.close()
  }

  #heldAt(answerer: number): number {
    return BELLS + this.#callerBells.length + this.#bells.length + answerer
  }

  #wake(bell: Bell): boolean {
    if (!bell.sleeps) return false
    Atomics.add(this.#cells, PENDING, 1)
    if (bell.ring()) return true
    Atomics.sub(this.#cells, PENDING, 1)
    return false
  }

  /** Tells callers that wait for room that there is some. */
  #feed(): void {
    if (Atomics.load(this.#cells, STARVED) === 0 || Atomics.exchange(this.#cells, STARVED, 0) === 0) return
    for (const bell of this.#callerBells) bell.ring()
  }
}

function openWakeups(count: number): Wakeup[] {
  const wakeups: Wakeup[] = []
  try {
    while (wakeups.length < count) wakeups.push(Wakeup.open())
  } catch (error) {
    for (const wakeup of wakeups) wakeup.close()
    throw error
  }
  return wakeups
}

registerShareable(KIND, Crossing)
