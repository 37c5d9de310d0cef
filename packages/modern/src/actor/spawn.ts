import type { MailboxOptions } from './mailbox.js'
import type { Address } from './ref.js'
import type { Supervision } from './supervision.js'

/**
 * Where an actor lives, for all its life:
 *
 *   own      on the thread of its parent
 *   pool     on that of the system's threads which has the fewest actors
 *   pinned   on a thread that it has for itself, and its children
 */
export type Dispatcher = 'own' | 'pool' | 'pinned'

export interface SpawnOptions {
  /** Its name among its siblings, without a slash. Default: a number. */
  readonly name?: string
  readonly mailbox?: MailboxOptions
  /** What it does about its own children that fail. Default: restarts each that does, 10 times within 10 s at most. */
  readonly supervision?: Supervision
  /** Messages that it may put aside at once. Default: 1024. */
  readonly stash?: number
  /** Default: 'own'. The others take a behaviour that can travel, see `Behaviors.fromModule`. */
  readonly dispatcher?: Dispatcher
}

/** Where an actor comes from. */
export interface Origin {
  readonly parent: Address
  /** Its number among its parent's children, used again when it has ended. */
  readonly slot: number
  /** The name that it was given, or how manieth child without one it is. */
  readonly name: string | number
}

/** The path of an actor. */
export function pathOf(parent: Address, name: string | number): string {
  return typeof name === 'number' ? `${parent.path}/$${name}` : `${parent.path}/${name}`
}
