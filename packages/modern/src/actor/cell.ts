/**
 * What is behind an actor's address: its mailbox, its behaviour, its place in the tree.
 *
 *   begin ─▶ runs ── stop ─▶ STOPPING: children end ─▶ post-stop ─▶ STOPPED
 *    ▲        │ throws
 *    │        ▼
 *    │     SUSPENDED: the parent decides ── resume ─▶ runs
 *    │        │ restart
 *    └── RESTARTING: children end                          MUTED: it has sent more than others take; AWAITING: a promise
 *
 * Signals of the library go ahead of messages, and are handled whatever holds the actor up. Owner thread only.
 */

import { type Behavior, Behaviors, type FromModule, type Next, type Receive } from './behavior.js'
import { Context } from './context.js'
import { Family } from './family.js'
import { Gate } from './gate.js'
import { LocalRef } from './local-ref.js'
import { checkMailbox, MailboxFullError, type WhenFull } from './mailbox.js'
import { type Address, isSameActor } from './ref.js'
import { Ring } from './ring.js'
import { type Origin, pathOf, type SpawnOptions } from './spawn.js'
import type { Supervision } from './supervision.js'
import type { ActorSystem } from './system.js'
import type { Signal, SystemMessage } from './system-message.js'
import { Watching } from './watching.js'

/** Why an actor handles no message now, as bits. */
const SUSPENDED = 1
const MUTED = 2
const AWAITING = 4
const STOPPING = 8
const RESTARTING = 16
const STOPPED = 32

/** A behaviour before the first: that of an actor that could not even begin. */
const NONE: Receive<never> = { kind: 'receive', onMessage: () => Behaviors.unhandled, onSignal: undefined }

const NOTHING: readonly never[] = []

/** Behaviours that may follow on one another without a message, as setup on setup. */
const MOST_STEPS = 100

export class Cell {
  readonly system: ActorSystem
  readonly parent: Address
  readonly #slot: number
  /** The name that it was given, or its number among its siblings. */
  readonly #name: string | number
  readonly ref: LocalRef
  readonly context: Context<never>
  /** Its number for other threads; 0 until one is told of it. */
  id = 0
  readonly #initial: Behavior<never>
  #behavior: Receive<never> = NONE
  readonly #mail = new Ring<unknown>()
  readonly #capacity: number = 0
  readonly #whenFull: WhenFull = 'block'
  readonly #supervision: Supervision | undefined
  #family: Family | undefined
  #signals: Ring<SystemMessage> | undefined
  /** Signals for the behaviour that came while it could not take any. */
  #deferred: readonly Signal[] = NOTHING
  #gate: Gate | undefined
  #watching: Watching | undefined
  #held = 0
  #mutes = 0
  #hasBegun = false
  /** True while it is in the scheduler's queue, or runs. */
  #isQueued = false
  #error: unknown
  /** The promise that holds it up. */
  #work: object | undefined

  constructor(system: ActorSystem, { parent, slot, name }: Origin, behavior: Behavior<never>, options: SpawnOptions) {
    this.system = system
    this.parent = parent
    this.#slot = slot
    this.#name = name
    this.#initial = behavior
    if (options.mailbox !== undefined) {
      const { capacity, whenFull } = checkMailbox(options.mailbox)
      this.#capacity = capacity
      this.#whenFull = whenFull
    }
    this.#supervision = options.supervision
    this.ref = new LocalRef(this)
    this.context = new Context(this, options.stash)
    system.counts.actors++
    this.#queue()
  }

  /** Its children; most actors never have any. */
  get family(): Family {
    this.#family ??= new Family(this, this.#supervision ?? {})
    return this.#family
  }

  get path(): string {
    return pathOf(this.parent, this.#name)
  }

  get isFull(): boolean {
    return this.#capacity !== 0 && this.#mail.size >= this.#capacity && !this.isStopped
  }

  /** True while senders wait for room in its mailbox. */
  get holdsOthers(): boolean {
    return this.#gate !== undefined
  }

  get isStopped(): boolean {
    return (this.#held & STOPPED) !== 0
  }

  get isStopping(): boolean {
    return (this.#held & (STOPPING | STOPPED)) !== 0
  }

  // mailbox -----------------------------------------------------------------------------------------------------------

  /** Takes a message of an actor or code of this thread. @throws MailboxFullError */
  deliver(message: unknown): void {
    if (this.#capacity !== 0 && this.#mail.size >= this.#capacity && !this.#makesRoom(message)) return
    this.accept(message)
  }

  /** Takes a message whether or not there is room: of its own timers, or what it asked for. */
  accept(message: unknown): void {
    if (this.isStopping) return this.system.deadLetter(message, this.ref, 'stopped')
    this.#mail.push(message)
    this.system.counts.accepted++
    if (this.#held === 0 && !this.#isQueued) this.#queue()
  }

  /** Takes a message of an actor of another thread, which is told if it should wait. */
  acceptFrom(node: number, message: unknown): void {
    if (this.isFull && !this.isStopping) {
      if (this.#whenFull === 'block') this.system.holdUp(node, this)
      else if (this.#whenFull === 'fail') return this.system.deadLetter(message, this.ref, 'dropped')
      else if (!this.#makesRoom(message)) return
    }
    this.accept(message)
  }

  /** Puts messages before all others, in their order. */
  putBack(messages: readonly unknown[]): void {
    for (let i = messages.length - 1; i >= 0; i--) this.#mail.unshift(messages[i])
    this.system.counts.accepted += messages.length
  }

  /** Resolves when there may be room. */
  room(): Promise<void> {
    this.#gate ??= new Gate()
    return this.#gate.opened()
  }

  /** Has a callback run once there is room. */
  whenRoom(callback: () => void): void {
    this.room().then(callback)
  }

  #makesRoom(message: unknown): boolean {
    const { current } = this.system.scheduler
    if (this.isStopping) return true // it becomes a dead letter as any other
    switch (this.#whenFull) {
      case 'drop-newest':
        this.system.deadLetter(message, this.ref, 'dropped')
        return false
      case 'drop-oldest':
        this.system.counts.accepted--
        this.system.deadLetter(this.#mail.shift(), this.ref, 'dropped')
        return true
      case 'block':
        if (current === this) return true
        if (current === undefined) throw this.#full('; outside of actors, await offer()')
        this.#gate ??= new Gate()
        this.#gate.hold(current)
        return true
      default:
        throw this.#full('')
    }
  }

  #full(hint: string): MailboxFullError {
    return new MailboxFullError(this.path, this.#mail.size, hint)
  }

  // running -----------------------------------------------------------------------------------------------------------

  /** Handles the signals that are there and then messages, as many as its turn allows. */
  run(): void {
    const { scheduler, counts, budget } = this.system
    const mail = this.#mail
    scheduler.current = this
    if (!this.#hasBegun) this.#begin()
    this.#takeSignals()
    if (mail.size > counts.deepest) counts.deepest = mail.size
    let left = budget
    while (this.#held === 0 && left > 0 && mail.size > 0) {
      left--
      this.#handle(mail.shift())
      if (this.#signals?.size) this.#takeSignals()
    }
    counts.messages += budget - left
    scheduler.current = undefined
    if (this.#gate !== undefined && (mail.size <= this.#capacity >> 1 || this.isStopping)) this.#openGate()
    if (this.#signals?.size || (this.#held === 0 && mail.size > 0)) scheduler.push(this)
    else this.#isQueued = false
  }

  #handle(message: unknown): void {
    let next: Next<never>
    try {
      next = this.#behavior.onMessage(this.context, message as never)
      if (next === Behaviors.same) return
      this.#follow(next, message)
    } catch (error) {
      this.fail(error)
    }
  }

  #begin(): void {
    this.#hasBegun = true
    try {
      this.#follow(this.#initial)
    } catch (error) {
      this.fail(error)
    }
  }

  become(behavior: Behavior<never>): void {
    this.#follow(behavior)
  }

  #follow(first: Next<never>, message?: unknown): void {
    let next = first
    for (let step = 0; step < MOST_STEPS; step++) {
      if (typeof (next as Promise<unknown>)?.then === 'function') return this.#await(next as Promise<Behavior<never>>)
      const behavior = next as Behavior<never>
      switch (behavior?.kind) {
        case 'receive':
          this.#behavior = behavior
          return
        case 'setup':
          next = behavior.begin(this.context)
          break
        case 'module':
          next = load(behavior)
          break
        case 'stopped':
          return this.#stop()
        case 'unhandled':
          return this.system.deadLetter(message, this.ref, 'unhandled')
        case 'same':
          return
        default:
          throw new TypeError(`${this.path} gave no behaviour but ${String(next)}: give Behaviors.same to go on`)
      }
    }
    throw new Error(`${this.path} has set itself up ${MOST_STEPS} times without a behaviour for messages`)
  }

  #await(promise: Promise<Behavior<never>>): void {
    const work = {}
    this.#work = work
    this.#held |= AWAITING
    promise.then(
      (value) => this.signal({ type: 'resolved', work, value }),
      (error) => this.signal({ type: 'rejected', work, error }),
    )
  }

  #settle(work: object, follow: () => void): void {
    if (this.#work !== work || this.isStopping) return
    this.#work = undefined
    this.#held &= ~AWAITING
    try {
      follow()
    } catch (error) {
      this.fail(error)
    }
  }

  #queue(): void {
    this.#isQueued = true
    this.system.scheduler.push(this)
  }

  // signals -----------------------------------------------------------------------------------------------------------

  signal(signal: SystemMessage): void {
    if (this.isStopped) return this.#obey(signal)
    this.#signals ??= new Ring()
    this.#signals.push(signal)
    if (!this.#isQueued) this.#queue()
  }

  #takeSignals(): void {
    const signals = this.#signals
    if (signals !== undefined) {
      while (signals.size > 0) this.#obey(signals.shift())
    }
    while (this.#deferred.length > 0 && (this.#held & ~MUTED) === 0) {
      const [signal] = this.#deferred
      this.#deferred = this.#deferred.slice(1)
      this.#inform(signal)
    }
  }

  #obey(signal: SystemMessage): void {
    if (this.isStopped) {
      if (signal.type !== 'watch') return
      signal.watcher.signal({ type: 'terminated', actor: this.ref, error: this.#error })
      return
    }
    switch (signal.type) {
      case 'stop':
        return this.#stop()
      case 'restart':
        return this.#restart()
      case 'resume':
        this.#held &= ~SUSPENDED
        return
      case 'failed':
        return this.family.failed(signal.slot, signal.error)
      case 'ended':
        this.family.forget(signal.slot)
        return this.#proceed()
      case 'watch':
        return this.watching.addWatcher(signal.watcher)
      case 'unwatch':
        return this.#watching?.removeWatcher(signal.watcher)
      case 'terminated':
        return this.#hearEnd(signal.actor, signal.error)
      case 'resolved':
        return this.#settle(signal.work, () => this.#follow(signal.value as Behavior<never>))
      case 'rejected':
        return this.#settle(signal.work, () => {
          throw signal.error
        })
    }
  }

  /** Tells the behaviour of something. */
  #inform(signal: Signal): void {
    const { onSignal } = this.#behavior
    if (onSignal === undefined) return
    try {
      this.#follow(onSignal(this.context, signal))
    } catch (error) {
      this.fail(error)
    }
  }

  /** Tells the behaviour for the last time: what comes of it is no use any more. */
  #inWords(signal: Signal): void {
    try {
      this.#behavior.onSignal?.(this.context, signal)
    } catch (error) {
      this.system.log(`${this.path} failed at ${signal.type}`, error)
    }
  }

  // the end, and new beginnings ---------------------------------------------------------------------------------------

  fail(error: unknown): void {
    if (this.isStopping) return this.system.log(`${this.path} failed while it stopped`, error)
    if (this.#held & SUSPENDED) return
    this.#held |= SUSPENDED
    this.#error = error
    this.system.counts.failures++
    this.parent.signal({ type: 'failed', slot: this.#slot, error })
  }

  #stop(): void {
    if (this.isStopping) return
    this.#held |= STOPPING
    this.context.clear()
    this.#family?.stopAll()
    this.#proceed()
  }

  #restart(): void {
    if (this.isStopping || this.#held & RESTARTING) return
    this.#held |= RESTARTING
    this.#inWords({ type: 'pre-restart', error: this.#error })
    this.context.clear()
    this.#family?.stopAll()
    this.#proceed()
  }

  /** Goes on with the end, or the new beginning, once no child is left. */
  #proceed(): void {
    if (this.#family !== undefined && this.#family.size > 0) return
    if (this.#held & STOPPING) this.#finish()
    else if (this.#held & RESTARTING) this.#beginAnew()
  }

  #beginAnew(): void {
    this.#held &= MUTED
    this.#work = undefined
    this.#error = undefined
    this.system.counts.restarts++
    this.#begin()
  }

  #finish(): void {
    const { system } = this
    this.#inWords({ type: 'post-stop' })
    this.#held |= STOPPED
    this.#held &= ~STOPPING
    system.counts.actors--
    system.counts.accepted -= this.#mail.size
    for (const message of this.#mail.drain()) system.deadLetter(message, this.ref, 'stopped')
    this.#watching?.close(this.#error)
    system.forget(this)
    this.parent.signal({ type: 'ended', slot: this.#slot })
  }

  // watching ----------------------------------------------------------------------------------------------------------

  get watching(): Watching {
    this.#watching ??= new Watching(this.ref)
    return this.#watching
  }

  watch(actor: Address): void {
    if (actor.node !== this.system.node) this.system.entangle(this)
    this.watching.begin(actor)
  }

  unwatch(actor: Address): void {
    this.watching.end(actor)
    this.#deferred = this.#deferred.filter((each) => each.type !== 'terminated' || !isSameActor(each.actor, actor))
  }

  /** A thread has ended, and all actors on it. */
  lose(node: number, error: unknown): void {
    for (const actor of this.#watching?.lose(node) ?? []) this.signal({ type: 'terminated', actor, error })
    this.#family?.lose(node, error)
  }

  #hearEnd(actor: Address, error: unknown): void {
    if (!this.#watching?.forget(actor) || this.isStopping) return
    this.#deferred = [...this.#deferred, { type: 'terminated', actor, error }]
  }

  // senders that wait -------------------------------------------------------------------------------------------------

  mute(): void {
    this.#mutes++
    this.#held |= MUTED
  }

  unmute(): void {
    if (--this.#mutes > 0) return
    this.#held &= ~MUTED
    if (this.#held === 0 && this.#mail.size > 0 && !this.#isQueued) this.#queue()
  }

  #openGate(): void {
    const gate = this.#gate
    this.#gate = undefined
    gate?.open()
  }
}

async function load(behavior: FromModule<never>): Promise<Behavior<never>> {
  const module = (await import(behavior.url)) as Record<string, unknown>
  const make = module[behavior.export]
  if (typeof make !== 'function') {
    throw new TypeError(`${behavior.url} exports no function ${behavior.export} that could make a behaviour`)
  }
  return (make as (...args: readonly unknown[]) => Behavior<never>)(...behavior.args)
}
