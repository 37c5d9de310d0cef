/** What one knows of an actor: where to send messages, and nothing else. */

import type { SystemMessage } from './system-message.js'

/** An actor's address, the same whether it lives on this thread or on another. It may be sent in messages. */
export interface ActorRef<in Message> {
  /** Names of its parents and its own: `/user/shop/till`. */
  readonly path: string
  /** The number of the thread it lives on, among those of its system. */
  readonly node: number
  /**
   * Sends a message, and does not wait. Messages from one actor to another arrive in the order in which they were sent. On the
   * same thread the message itself is passed, so neither side may change it afterwards; to another thread a copy goes.
   * @throws MailboxFullError where the mailbox is full and its policy is to fail (or to block, and no actor is the sender)
   * @throws NotSendableError for what another thread cannot be sent
   */
  tell(message: Message): void
  /** Sends a message once there is room for it; waits for that. For code outside of actors. @throws as `tell` */
  offer(message: Message): Promise<void>
}

/** An address as the library sees it. */
export interface Address<in Message = never> extends ActorRef<Message> {
  /** Its number among all actors of the system; 0 as long as no other thread has been told of it. */
  readonly id: number
  /** Sends what only the library sends, ahead of all messages. */
  signal(signal: SystemMessage): void
}

/** Tells whether a value is the address of an actor. */
export function isActorRef(value: unknown): value is ActorRef<unknown> {
  const { tell, signal } = (value ?? {}) as Partial<Address>
  return typeof tell === 'function' && typeof signal === 'function'
}

/** Tells whether two references are of the same actor. */
export function isSameActor(a: ActorRef<never>, b: ActorRef<never>): boolean {
  if (a === b) return true
  const { id, node } = a as Address
  return id !== 0 && id === (b as Address).id && node === b.node
}
