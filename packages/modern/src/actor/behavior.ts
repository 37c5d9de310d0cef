/**
 * A behaviour: what an actor does with its next message. It is a value; handling a message gives the behaviour for the one after
 * it, which is how an actor becomes something else.
 *
 * See: Agha, "Actors" (1986), replacement behaviours; Akka Typed, Behaviors
 */

import type { ActorContext } from './context.js'
import type { Signal } from './system-message.js'

/** What handling a message gives; a promise holds up the messages that follow until it is settled. */
export type Next<Message> = Behavior<Message> | Promise<Behavior<Message>>

export type OnMessage<Message> = (context: ActorContext<Message>, message: Message) => Next<Message>
export type OnSignal<Message> = (context: ActorContext<Message>, signal: Signal) => Behavior<Message>

/** An actor's behaviour, made by {@link Behaviors}. */
export type Behavior<Message> =
  | Receive<Message>
  | { readonly kind: 'setup'; readonly begin: (context: ActorContext<Message>) => Behavior<Message> }
  | FromModule<Message>
  | Outcome

/** What goes on, or ends, without a new behaviour. */
interface Outcome {
  readonly kind: 'same' | 'stopped' | 'unhandled'
}

/** What handles messages. */
export interface Receive<Message> {
  readonly kind: 'receive'
  readonly onMessage: OnMessage<Message>
  readonly onSignal: OnSignal<Message> | undefined
}

/** A behaviour by the name of what makes it, which can travel to other threads. */
export interface FromModule<Message> {
  readonly kind: 'module'
  readonly url: string
  readonly export: string
  readonly args: readonly unknown[]
  /** Only for the type. */
  readonly message?: (message: Message) => void
}

/** Goes on as before. */
const same: Outcome = { kind: 'same' }
/** Ends the actor, after its children. */
const stopped: Outcome = { kind: 'stopped' }
/** Goes on as before; the message becomes a dead letter, since nothing was done with it. */
const unhandled: Outcome = { kind: 'unhandled' }

/** Handles messages, and signals if `onSignal` is there. An error that either throws is the supervisor's to deal with. */
function receive<Message>(onMessage: OnMessage<Message>, onSignal?: OnSignal<Message>): Behavior<Message> {
  return { kind: 'receive', onMessage, onSignal }
}

/** Begins, each time the actor starts or starts anew, by making its behaviour: the place for state, children and timers. */
function setup<Message>(begin: (context: ActorContext<Message>) => Behavior<Message>): Behavior<Message> {
  return { kind: 'setup', begin }
}

/**
 * The behaviour that a function makes which a module exports, here or on another thread: functions do not travel, their names
 * do. The arguments are cloned like messages. Without types of its own: `fromModule<Message>(...)`.
 */
function fromModule<Message>(module: URL | string, name: string, ...args: readonly unknown[]): FromModule<Message> {
  return { kind: 'module', url: String(module), export: name, args }
}

/** All ways to make a behaviour. */
export const Behaviors: {
  readonly receive: typeof receive
  readonly setup: typeof setup
  readonly fromModule: typeof fromModule
  readonly same: Outcome
  readonly stopped: Outcome
  readonly unhandled: Outcome
} = { receive, setup, fromModule, same, stopped, unhandled }
