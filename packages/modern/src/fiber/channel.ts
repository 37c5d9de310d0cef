import { named, RunQueue } from '@cs/core/coroutine'
import { Offer } from './offer.js'
import { WaitList } from './wait-list.js'

/** Thrown to whoever sends on a channel that is closed. */
export class ChannelClosedError extends Error {
  readonly code: string = 'ERR_CS_CHANNEL_CLOSED'
  override readonly name: string = 'ChannelClosedError'
}

/**
 * A queue between fibers of one thread. Senders wait while it holds `capacity` values, receivers while it holds none; with a
 * capacity of 0 each sender waits for its receiver. Both are served in the order in which they came.
 */
export class Channel<T extends NonNullable<unknown> | null> {
  readonly capacity: number
  /** Stands in the words that say what a fiber waits for. */
  readonly name: string
  readonly #values = new RunQueue<T>()
  readonly #senders = new WaitList<Send<T>>()
  readonly #receivers = new WaitList<Receive<T>>()
  #isClosed = false

  /** @throws RangeError for a capacity that is no whole number from 0 on */
  constructor(capacity = 0, name = '') {
    if (!Number.isInteger(capacity) || capacity < 0)
      throw new RangeError(`a channel holds a whole number of values: ${capacity}`)
    this.capacity = capacity
    this.name = name
  }

  /** Values that it holds. */
  get size(): number {
    return this.#values.size
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Waits until there is room for a value, which may not be undefined. @throws ChannelClosedError, also while it waits; TypeError */
  send(value: T): Offer<void> {
    if (value === undefined) throw new TypeError('a channel takes no undefined: that is what it gives at its end')
    return new Send(this, value)
  }

  /** Waits for a value; undefined once the channel is closed and empty. */
  receive(): Offer<T | undefined> {
    return new Receive(this)
  }

  /** Lets nobody send any more: senders that wait fail, receivers get what is left and then undefined. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (let sender = this.#senders.shift(); sender !== undefined; sender = this.#senders.shift())
      sender.fail(closed(this))
    for (let receiver = this.#receivers.shift(); receiver !== undefined; receiver = this.#receivers.shift())
      receiver.succeed(undefined)
  }

  /** @internal */
  trySend(sender: Send<T>): boolean {
    if (this.#isClosed) {
      sender.fail(closed(this))
      return true
    }
    const receiver = this.#receivers.shift()
    if (receiver !== undefined) receiver.succeed(sender.value)
    else if (this.#values.size < this.capacity) this.#values.push(sender.value)
    else return false
    sender.succeed(undefined)
    return true
  }

  /** @internal */
  tryReceive(receiver: Receive<T>): boolean {
    const sender = this.#values.size > 0 || this.capacity === 0 ? this.#senders.shift() : undefined
    if (this.#values.size > 0) {
      receiver.succeed(this.#values.shift())
      if (sender !== undefined) this.#values.push(sender.value)
    } else if (sender !== undefined) receiver.succeed(sender.value)
    else if (this.#isClosed) receiver.succeed(undefined)
    else return false
    sender?.succeed(undefined)
    return true
  }

  /** @internal */
  enlistSender(sender: Send<T>): void {
    this.#senders.push(sender)
  }

  /** @internal */
  enlistReceiver(receiver: Receive<T>): void {
    this.#receivers.push(receiver)
  }
}

class Send<T extends NonNullable<unknown> | null> extends Offer<void> {
  readonly value: T
  readonly #channel: Channel<T>

  constructor(channel: Channel<T>, value: T) {
    super()
    this.#channel = channel
    this.value = value
  }

  get what(): string {
    return `to send on ${named('channel', this.#channel.name)}`
  }

  attempt(): boolean {
    return this.#channel.trySend(this)
  }

  enlist(): void {
    this.#channel.enlistSender(this)
  }
}

class Receive<T extends NonNullable<unknown> | null> extends Offer<T | undefined> {
  readonly #channel: Channel<T>

  constructor(channel: Channel<T>) {
    super()
    this.#channel = channel
  }

  get what(): string {
    return `to receive from ${named('channel', this.#channel.name)}`
  }

  attempt(): boolean {
    return this.#channel.tryReceive(this)
  }

  enlist(): void {
    this.#channel.enlistReceiver(this)
  }
}

function closed(channel: { readonly name: string }): ChannelClosedError {
  return new ChannelClosedError(`${named('channel', channel.name)} is closed`)
}
