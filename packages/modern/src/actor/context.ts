/** What an actor can do, beside sending messages: the first argument of its behaviour. */

import type { Behavior } from './behavior.js'
import type { Cell } from './cell.js'
import type { ActorRef, Address } from './ref.js'
import type { SpawnOptions } from './spawn.js'
import type { ActorSystem } from './system.js'
import { ActorTimers, type Timers } from './timers.js'

/** An actor's own view of itself. Only while it handles a message or a signal, on its own thread. */
export interface ActorContext<Message> {
  readonly self: ActorRef<Message>
  readonly system: ActorSystem
  /** Those of its children that live. */
  readonly children: readonly ActorRef<never>[]
  /** Messages to itself, later. They end with it. */
  readonly timers: Timers<Message>
  /** Starts a child. @throws Error where its name is taken, TypeError for a behaviour that cannot go where it should */
  spawn<M>(behavior: Behavior<M>, options?: SpawnOptions): ActorRef<M>
  /** Finds a child that lives by its name. */
  child(name: string): ActorRef<never> | undefined
  /** Stops a child, and all of its own. @throws Error for an actor that is no child */
  stop(child: ActorRef<never>): void
  /** Has the behaviour told, by the signal 'terminated', when an actor has stopped, or if it has already. */
  watch(actor: ActorRef<never>): void
  unwatch(actor: ActorRef<never>): void
  /** Changes the behaviour from the next message on; the same as to return it. */
  become(behavior: Behavior<Message>): void
  /** Puts a message aside. @throws RangeError where as many are aside as may be */
  stash(message: Message): void
  /** Puts what is aside back before all that waits in the mailbox, in the order in which it came. */
  unstashAll(): void
  /**
   * Asks an actor; the answer, or the AskTimeoutError, becomes a message to itself. `make` gets the address for the answer.
   */
  ask<M, Answer>(
    actor: ActorRef<M>,
    make: (replyTo: ActorRef<Answer>) => M,
    timeoutMs: number,
    adapt: (outcome: PromiseSettledResult<Answer>) => Message,
  ): void
  /** Makes a message to itself of what comes of a promise. Never waits. */
  pipeToSelf<T>(promise: Promise<T>, adapt: (outcome: PromiseSettledResult<T>) => Message): void
}

const DEFAULT_STASH = 1024

export class Context<Message> implements ActorContext<Message> {
  readonly #cell: Cell
  readonly #stashLimit: number
  #stash: Message[] | undefined
  #timers: ActorTimers<Message> | undefined
  /** Timers of the library. */
  #delays: Set<() => void> | undefined

  constructor(cell: Cell, stashLimit: number = DEFAULT_STASH) {
    this.#cell = cell
    this.#stashLimit = stashLimit
  }

  get self(): ActorRef<Message> {
    return this.#cell.ref as unknown as ActorRef<Message>
  }

  get system(): ActorSystem {
    return this.#cell.system
  }

  get children(): readonly ActorRef<never>[] {
    return this.#cell.family.refs
  }

  get timers(): Timers<Message> {
    this.#timers ??= new ActorTimers(this.#cell)
    return this.#timers
  }

  spawn<M>(behavior: Behavior<M>, options: SpawnOptions = {}): ActorRef<M> {
    return this.#cell.family.spawn(behavior as Behavior<never>, options) as unknown as ActorRef<M>
  }

  child(name: string): ActorRef<never> | undefined {
    return this.#cell.family.get(name)
  }

  stop(child: ActorRef<never>): void {
    if (!this.#cell.family.has(child))
      throw new Error(`${child.path} is no child of ${this.#cell.path}: send it a message`)
    ;(child as Address).signal({ type: 'stop' })
  }

  watch(actor: ActorRef<never>): void {
    this.#cell.watch(actor as Address)
  }

  unwatch(actor: ActorRef<never>): void {
    this.#cell.unwatch(actor as Address)
  }

  become(behavior: Behavior<Message>): void {
    this.#cell.become(behavior as unknown as Behavior<never>)
  }

  stash(message: Message): void {
    this.#stash ??= []
    if (this.#stash.length >= this.#stashLimit) {
      throw new RangeError(`${this.#cell.path} has put ${this.#stashLimit} messages aside, and may no more`)
    }
    this.#stash.push(message)
  }

  unstashAll(): void {
    if (this.#stash === undefined) return
    this.#cell.putBack(this.#stash)
    this.#stash = undefined
  }

  ask<M, Answer>(
    actor: ActorRef<M>,
    make: (replyTo: ActorRef<Answer>) => M,
    timeoutMs: number,
    adapt: (outcome: PromiseSettledResult<Answer>) => Message,
  ): void {
    this.pipeToSelf(this.system.ask(actor, make, timeoutMs), adapt)
  }

  pipeToSelf<T>(promise: Promise<T>, adapt: (outcome: PromiseSettledResult<T>) => Message): void {
    const cell = this.#cell
    promise.then(
      (value) => cell.accept(adapt({ status: 'fulfilled', value })),
      (reason) => cell.accept(adapt({ status: 'rejected', reason })),
    )
  }

  /** Calls back in so many ms, unless the actor ends or begins anew before. For the library. */
  delay(ms: number, callback: () => void): void {
    const cancel = this.system.delay(ms, () => {
      this.#delays?.delete(cancel)
      callback()
    })
    this.#delays ??= new Set()
    this.#delays.add(cancel)
  }

  /** Ends its timers and gives back what is aside: it stops, or begins anew. */
  clear(): void {
    this.#timers?.cancelAll()
    for (const cancel of this.#delays ?? []) cancel()
    this.#delays = undefined
    this.unstashAll()
  }
}
