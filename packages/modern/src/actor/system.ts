/**
 * A system of actors: the tree of all that live, on this thread and on those that the system starts, and what they have in common.
 *
 *   /user ── spawn ─▶ actors of this thread ── spawn ─▶ their children, here or on threads of the pool, or pinned to one
 *
 * One turn: what has come from other threads ─▶ timers that are due ─▶ actors, until nobody has anything to do or it is time for
 * others ─▶ what was told to other threads goes out. Turns are callbacks of Node's loop, or `turn()` of a loop that one has.
 */

import { TimerHeap } from '@cs/core/loop'
import { ask } from './ask.js'
import { type Behavior, Behaviors } from './behavior.js'
import { Cell } from './cell.js'
import { LocalRef } from './local-ref.js'
import { Mesh } from './mesh.js'
import { NodeLoop } from './node-loop.js'
import type { ActorRef, Address } from './ref.js'
import { type Control, Nodes } from './remote.js'
import { Scheduler } from './scheduler.js'
import { type Origin, pathOf, type SpawnOptions } from './spawn.js'
import type { Supervision } from './supervision.js'
import type { SystemMessage } from './system-message.js'
import { Threads } from './threads.js'
import type { Transport } from './transport.js'

export interface SystemOptions {
  /** Threads of the pool; they start as they are needed. Default: 0. */
  readonly threads?: number
  /** Actors that may have a thread of their own, at once. Default: 0. */
  readonly pinned?: number
  /** What becomes of actors at the top of the tree that fail. Default: as for all others. */
  readonly supervision?: Supervision
  /** Messages that an actor handles before others get their turn. Default: 100. */
  readonly budget?: number
  /** Is told of failures. Default: standard error. */
  readonly log?: (message: string, error?: unknown) => void
  /** How to reach other nodes, for a system whose threads are another's; then `threads` and `pinned` do not count. */
  readonly transport?: Transport
  /** Whether turns are taken by whoever calls `turn`, instead of in Node's loop. Default: false. */
  readonly manual?: boolean
}

/** A message that no actor has handled. */
export interface DeadLetter {
  readonly message: unknown
  readonly to: ActorRef<never>
  /** Whether the actor had stopped, its mailbox was full, or it did not know what to do. */
  readonly reason: 'stopped' | 'dropped' | 'unhandled'
}

/** What the actors of one thread have done. */
export interface ActorStatistics {
  /** Actors that live. */
  readonly actors: number
  /** Messages that were handled. */
  readonly messages: number
  /** Messages that wait in mailboxes, and the most that ever waited in one when its turn came. */
  readonly waiting: number
  readonly deepest: number
  readonly failures: number
  readonly restarts: number
  readonly deadLetters: number
}

/** Milliseconds for which actors run before Node's loop gets its turn. */
const TURN_MS = 2

/** Milliseconds after which a node that had no room is tried again. */
const RETRY_MS = 1

/** Milliseconds for which a node that ends tries to send what is left. */
const FAREWELL_MS = 1000

/** Timers that run in one turn. */
const TIMERS = 1024

const DEFAULT_BUDGET = 100

export class ActorSystem {
  /** The number of this thread among those of the system. */
  readonly node: number
  readonly budget: number
  readonly scheduler: Scheduler
  readonly log: (message: string, error?: unknown) => void
  readonly counts = {
    actors: 0,
    accepted: 0,
    messages: 0,
    deepest: 0,
    failures: 0,
    restarts: 0,
    deadLetters: 0,
  }
  /** Resolves when all actors of this thread, and its threads, have ended; to the error if one that nobody caught was why. */
  readonly terminated: Promise<unknown>
  readonly #timers = new TimerHeap()
  readonly #nodes: Nodes | undefined
  readonly #threads: Threads | undefined
  readonly #user: Cell
  /** Actors with children on other nodes, or that watch some there. */
  readonly #entangled = new Set<Cell>()
  readonly #listeners = new Set<(letter: DeadLetter) => void>()
  /** What gives it turns; undefined where somebody else does. */
  readonly #loop: NodeLoop | undefined
  /** The actor that has this thread for itself. */
  #pinned: Cell | undefined
  #isTurning = false
  #unwatch: () => void = () => {}
  #onTerminated: (error: unknown) => void = () => {}
  #error: unknown
  #isOver = false

  /** @throws RangeError, TypeError for options that are none; PosixError where no descriptors are left for `threads` */
  constructor(options: SystemOptions = {}) {
    const { threads = 0, pinned = 0, budget = DEFAULT_BUDGET, supervision = {}, manual = false } = options
    for (const [name, value] of Object.entries({ threads, pinned, budget })) {
      if (!Number.isInteger(value) || value < 0) throw new RangeError(`${name} is a whole number from 0 on: ${value}`)
    }
    this.budget = Math.max(1, budget)
    this.log = options.log ?? logLine
    this.#loop = manual ? undefined : new NodeLoop(() => this.#turnOfNode())
    this.scheduler = new Scheduler(() => this.wake())
    if (options.transport !== undefined) this.#nodes = new Nodes(this, options.transport)
    else if (threads + pinned > 0) {
      const mesh = Mesh.create(1 + threads + pinned, { pool: threads })
      this.#nodes = new Nodes(this, mesh.at(0))
      this.#threads = new Threads(mesh, this.budget, {
        tell: (node, control) => this.#control(node, control),
        gone: (node, error) => this.#gone(node, error),
      })
    }
    this.node = this.#nodes?.transport.node ?? 0
    this.terminated = new Promise((resolve) => (this.#onTerminated = resolve))
    const top: Address = {
      path: '',
      node: this.node,
      id: 0,
      tell() {},
      offer: async () => {},
      signal: (s) => this.#top(s),
    }
    this.#user = new Cell(
      this,
      { parent: top, slot: 0, name: 'user' },
      Behaviors.receive(() => Behaviors.unhandled),
      { supervision },
    )
    this.counts.actors-- // nobody asked for it
    if (!manual && this.#nodes !== undefined) this.#unwatch = this.#nodes.transport.watch(() => this.wake())
  }

  /**
   * Starts an actor at the top of the tree.
   * @throws Error where the name is taken or the system has ended, TypeError for a behaviour that cannot go to another thread
   */
  spawn<Message>(behavior: Behavior<Message>, options: SpawnOptions = {}): ActorRef<Message> {
    if (this.#isOver) throw new Error('the system of actors has been terminated')
    return this.#user.family.spawn(behavior as Behavior<never>, options) as unknown as ActorRef<Message>
  }

  /** Stops an actor from without, and all its children. */
  stop(actor: ActorRef<never>): void {
    ;(actor as Address).signal({ type: 'stop' })
  }

  /**
   * Sends a message with an address for the answer, and resolves to that. Rejects with AskTimeoutError when it has not come in so
   * many ms, also where the actor has stopped.
   */
  ask<Message, Answer>(
    actor: ActorRef<Message>,
    make: (replyTo: ActorRef<Answer>) => Message,
    timeoutMs: number,
  ): Promise<Answer> {
    return ask(this, actor, make, timeoutMs)
  }

  /** Has a callback told of each message that nobody handled; returns what ends that. */
  onDeadLetter(listener: (letter: DeadLetter) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Makes an actor of this thread known to others under a name; see {@link named}. Needs a transport. */
  register(name: string, actor: ActorRef<never>): void {
    if (!(actor instanceof LocalRef)) throw new TypeError(`${actor.path} does not live on this thread`)
    this.#net.register(actor.cell, actor, numberOf(name))
  }

  /** The actor that another thread has registered under a name, or will. */
  named<Message>(node: number, name: string): ActorRef<Message> {
    return this.#net.refOf(node, numberOf(name), `/user/${name}`) as unknown as ActorRef<Message>
  }

  /** Takes the signal by which the transport has ended the wait of a loop of one's own. */
  woken(): void {
    this.#nodes?.transport.woken()
  }

  /** What the actors of this thread have done so far. */
  statistics(): ActorStatistics {
    const { actors, messages, deepest, failures, restarts, deadLetters } = this.counts
    return { actors, messages, waiting: this.waiting, deepest, failures, restarts, deadLetters }
  }

  /** Messages that wait in mailboxes. */
  get waiting(): number {
    return Math.max(0, this.counts.accepted - this.counts.messages)
  }

  /** Stops all actors, those at the leaves first, and then the threads of the system. */
  async terminate(): Promise<void> {
    this.#user.signal({ type: 'stop' })
    await this.terminated
  }

  // a loop of one's own -----------------------------------------------------------------------------------------------

  /** True where something has come that was not read yet. */
  get hasMail(): boolean {
    return this.#nodes?.hasMail ?? false
  }

  /** True where nobody has anything to do, and all that was told to other threads is on its way. */
  get isIdle(): boolean {
    return this.scheduler.idle && !this.hasMail && !this.#nodes?.isCongested
  }

  /**
   * Milliseconds for which a loop may wait before it should call {@link turn}, -1 for any; `other` is its own limit. To be asked
   * last before it waits, also for what the transport says wakes it.
   */
  timeout(other: number): number {
    if (!this.scheduler.idle || this.#nodes?.sleeps() === false) return 0
    const due = Math.min(this.#timers.next - performance.now(), this.#nodes?.isCongested ? RETRY_MS : Infinity)
    if (due === Infinity) return other
    return other < 0 ? Math.max(0, due) : Math.max(0, Math.min(due, other))
  }

  /** Does what there is to do, for about so many ms at most. Default: until nobody has anything to do. */
  turn(ms: number = Number.POSITIVE_INFINITY): void {
    this.#isTurning = true
    if (this.#nodes?.hasMail) this.#receive()
    this.run(ms)
  }

  /** A turn without what has come from other threads. */
  run(ms: number = Number.POSITIVE_INFINITY): void {
    this.#isTurning = true
    this.#nodes?.wakes()
    if (this.#timers.size > 0) this.#timers.run(performance.now(), TIMERS, call)
    this.scheduler.run(ms)
    this.#nodes?.flush()
    this.#nodes?.transport.report(this.counts.actors)
    this.#isTurning = false
  }

  // for the library ---------------------------------------------------------------------------------------------------

  /** Sees to it that there is a turn soon. */
  wake(): void {
    if (!this.#isTurning) this.#loop?.wake()
  }

  /** Calls back in so many ms, then `every` so many; returns what cancels it. */
  delay(ms: number, callback: () => void, every = 0): () => void {
    if (!(ms >= 0)) throw new RangeError(`a time is 0 ms or longer: ${ms}`)
    const timer = this.#timers.set(performance.now() + ms, every, callback)
    if (!this.#isTurning) this.#loop?.wakeAt(timer.due)
    return () => void this.#timers.cancel(timer)
  }

  deadLetter(message: unknown, to: ActorRef<never>, reason: DeadLetter['reason']): void {
    this.counts.deadLetters++
    for (const listener of this.#listeners) {
      try {
        listener({ message, to, reason })
      } catch (error) {
        this.log('who listens to dead letters failed', error)
      }
    }
  }

  /** Makes an actor where its options say. */
  place(origin: Origin, behavior: Behavior<never>, options: SpawnOptions): Placed {
    const { dispatcher = 'own' } = options
    if (dispatcher === 'own') return { ref: new Cell(this, origin, behavior, options).ref, respawn: undefined }
    const path = pathOf(origin.parent, origin.name)
    if (behavior.kind !== 'module') {
      throw new TypeError(`${path}: functions cannot travel to a thread; use Behaviors.fromModule`)
    }
    const net = this.#net
    const { dispatcher: _, ...rest } = options
    const node = this.#nodeFor(dispatcher)
    const ref = net.refOf(node, net.transport.allocate(), path)
    const respawn = (): void => {
      net.control(node, { type: 'spawn', id: ref.id, origin, behavior, options: rest })
      this.#control(0, { type: 'start', node })
      net.flushTo(node) // before anybody hears of it who could send it something
    }
    respawn()
    return { ref, respawn }
  }

  entangle(cell: Cell): void {
    this.#entangled.add(cell)
  }

  /** Gives back a thread whose actor is not to live again. */
  release(node: number): void {
    this.#control(0, { type: 'release', node })
  }

  holdUp(node: number, cell: Cell): void {
    this.#nodes?.holdUp(node, cell)
  }

  /** An actor has ended. */
  forget(actor: { readonly id: number }): void {
    if (actor.id !== 0) this.#nodes?.forget(actor.id)
    if (actor instanceof Cell) this.#entangled.delete(actor)
    if (actor !== this.#pinned) return
    this.release(this.node) // it had this thread for itself
    this.#user.signal({ type: 'stop' })
  }

  obey(control: Control): void {
    switch (control.type) {
      case 'spawn': {
        const { id, origin, behavior, options } = control
        const cell = new Cell(this, origin, behavior, options)
        if (this.node > this.#net.transport.pool) this.#pinned = cell
        return this.#net.register(cell, cell.ref, id)
      }
      case 'start':
        return this.#threads?.start(control.node)
      case 'release':
        return this.#threads?.release(control.node)
      case 'gone':
        return this.#lose(control.node, control.error)
      case 'end':
        return this.#user.signal({ type: 'stop' })
    }
  }

  /** A thread has ended: all others are told. First node only. */
  #gone(node: number, error: unknown): void {
    this.#lose(node, error)
    for (const other of this.#threads?.running ?? []) this.#net.control(other, { type: 'gone', node, error })
    this.wake()
  }

  #lose(node: number, error: unknown): void {
    this.#nodes?.lose(node)
    for (const cell of this.#entangled) cell.lose(node, error)
  }

  #nodeFor(dispatcher: 'pool' | 'pinned'): number {
    const { transport } = this.#net
    const first = transport.pool + 1
    if (dispatcher === 'pinned') {
      const node = transport.reserve(first, transport.nodes)
      if (node === undefined)
        throw new RangeError('as many actors are pinned as the option `pinned` of the system allows')
      return node
    }
    if (transport.pool === 0) throw new RangeError('the system has no pool: set its option `threads`')
    let best = 1
    for (let node = 2; node < first; node++) if (transport.actorsOn(node) < transport.actorsOn(best)) best = node
    return best
  }

  #control(node: number, control: Control): void {
    if (node === this.node) this.obey(control)
    else this.#net.control(node, control)
  }

  get #net(): Nodes {
    if (this.#nodes === undefined) throw new RangeError('the system has this thread alone: set its option `threads`')
    return this.#nodes
  }

  /** What the top of the tree tells whoever is above it. */
  #top(signal: SystemMessage): void {
    if (signal.type === 'failed') {
      this.#error = signal.error
      this.log('the actor system ends, since nobody could deal with an error', signal.error)
      this.#user.signal({ type: 'stop' })
    } else if (signal.type === 'ended') {
      this.counts.actors++ // it was not counted
      void this.#end()
    }
  }

  async #end(): Promise<void> {
    this.#isOver = true
    await this.#threads?.end()
    this.#nodes?.flush()
    for (let i = 0; this.#nodes?.isCongested && i < FAREWELL_MS; i += RETRY_MS) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      this.#nodes.flush()
    }
    this.#unwatch()
    this.#timers.clear()
    this.#loop?.close()
    this.#threads?.dispose()
    this.#onTerminated(this.#error)
  }

  #receive(): void {
    this.#nodes?.receive()
    this.#nodes?.flush() // that a mailbox is full, its senders must hear before it is empty again
  }

  /** A turn in Node's loop, and when to come back. */
  #turnOfNode(): void {
    this.turn(TURN_MS)
    if (this.#isOver) return
    if (!this.scheduler.idle || this.#nodes?.sleeps() === false) this.wake()
    this.#loop?.wakeAt(this.#nodes?.isCongested ? performance.now() + RETRY_MS : this.#timers.next)
  }
}

export interface Placed {
  readonly ref: Address
  readonly respawn: (() => void) | undefined
}

/** Numbers of names have the highest bit, which no other has. */
function numberOf(name: string): number {
  let hash = 0x811c9dc5 // FNV-1a
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return (hash | 0x80000000) >>> 0
}

function call(callback: () => void): void {
  callback()
}

function logLine(message: string, error?: unknown): void {
  console.error(message, ...(error === undefined ? [] : [error]))
}
