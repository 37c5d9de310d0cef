/**
 * The other nodes as one of them sees it: addresses of actors that live elsewhere, what goes there, and what comes from there.
 * Owner thread only.
 */

import type { Behavior } from './behavior.js'
import type { Cell } from './cell.js'
import { NotSendableError } from './codec.js'
import { Gate } from './gate.js'
import { CONTROL, Link, Receiver, SIGNALS } from './link.js'
import { LocalRef } from './local-ref.js'
import type { Address } from './ref.js'
import type { Origin, SpawnOptions } from './spawn.js'
import type { ActorSystem } from './system.js'
import type { SystemMessage } from './system-message.js'
import type { Transport } from './transport.js'

/** What nodes tell each other. */
export type Control =
  | {
      readonly type: 'spawn'
      readonly id: number
      readonly origin: Origin
      readonly behavior: Behavior<never>
      readonly options: SpawnOptions
    }
  /** The mailbox of an actor is full, and has room again. */
  | { readonly type: 'full' | 'relieved'; readonly id: number }
  /** The first node is to start a thread; it tells the others when one has ended. */
  | { readonly type: 'start' | 'release'; readonly node: number }
  | { readonly type: 'gone'; readonly node: number; readonly error: unknown }
  | { readonly type: 'end' }

/** Records that are read before actors get their turn. */
const RECORDS = 64

/** The address of an actor on another node. */
class RemoteRef implements Address<unknown> {
  readonly node: number
  readonly id: number
  readonly path: string
  readonly #nodes: Nodes

  constructor(nodes: Nodes, node: number, id: number, path: string) {
    this.#nodes = nodes
    this.node = node
    this.id = id
    this.path = path
  }

  tell(message: unknown): void {
    this.#nodes.tell(this, message)
  }

  async offer(message: unknown): Promise<void> {
    for (let gate = this.#nodes.gateOf(this); gate !== undefined; gate = this.#nodes.gateOf(this)) await gate.opened()
    this.tell(message)
  }

  signal(signal: SystemMessage): void {
    this.#nodes.signal(this, signal)
  }

  toString(): string {
    return `${this.path} on ${this.node}`
  }
}

export class Nodes {
  readonly transport: Transport
  readonly #system: ActorSystem
  readonly #links: (Link | undefined)[] = []
  readonly #receiver: Receiver
  /** Actors of this node that others know of, by number. */
  readonly #known = new Map<number, Address>()
  readonly #dirty = new Set<Link>()
  /** Nodes that have been told that an actor is full. */
  readonly #heldUp = new Map<Cell, Set<number>>()
  #isAwake = true

  constructor(system: ActorSystem, transport: Transport) {
    this.#system = system
    this.transport = transport
    this.#receiver = new Receiver(transport, {
      message: (source, id, message) => this.#arrived(source, id, message),
      other: (source, kind, id, value) =>
        kind === CONTROL ? this.#obey(source, value as Control) : this.#signalled(id, value as SystemMessage),
      refOf: (node, id, path) => this.refOf(node, id, path),
    })
  }

  get hasMail(): boolean {
    return this.transport.hasMail
  }

  /** Says that this thread is about to sleep; false where it should not. */
  sleeps(): boolean {
    if (this.transport.hasMail) return false
    if (this.#isAwake) this.transport.listen()
    this.#isAwake = false
    return !this.transport.hasMail
  }

  /** Says that it does not sleep. */
  wakes(): void {
    if (this.#isAwake) return
    this.#isAwake = true
    this.transport.awake()
  }

  /** True where something could not be sent, and is to be tried again soon. */
  get isCongested(): boolean {
    return this.#dirty.size > 0
  }

  // what goes out -----------------------------------------------------------------------------------------------------

  tell(ref: RemoteRef, message: unknown): void {
    const link = this.#linkTo(ref.node)
    link.write(ref.id, message)
    const { current } = this.#system.scheduler
    if (current === undefined) return
    if (link.isCongested) link.gate.hold(current)
    link.gates.get(ref.id)?.hold(current)
  }

  signal(ref: RemoteRef, signal: SystemMessage): void {
    const link = this.#linkTo(ref.node)
    try {
      link.writeKind(SIGNALS, ref.id, signal, signal.type)
    } catch (error) {
      if (!(error instanceof NotSendableError && 'error' in signal)) throw error
      link.writeKind(SIGNALS, ref.id, { ...signal, error: new Error(String(signal.error)) }, signal.type)
    }
  }

  control(node: number, control: Control): void {
    this.#linkTo(node).writeKind(CONTROL, 0, control, control.type)
  }

  /** Where senders to an actor wait; undefined where they need not. */
  gateOf({ node, id }: RemoteRef): Gate | undefined {
    const link = this.#linkTo(node)
    return link.isCongested ? link.gate : link.gates.get(id)
  }

  /** Sends what was told since the last time, as far as there is room. */
  flush(): void {
    for (const link of this.#dirty) if (link.flush()) this.#dirty.delete(link)
  }

  flushTo(node: number): void {
    this.#linkTo(node).flush()
  }

  /** Tells a node that senders to an actor of this one should wait, once until it has room. */
  holdUp(node: number, cell: Cell): void {
    let nodes = this.#heldUp.get(cell)
    if (nodes === undefined) {
      nodes = new Set()
      this.#heldUp.set(cell, nodes)
      cell.whenRoom(() => this.#relieve(cell))
    }
    if (nodes.has(node)) return
    nodes.add(node)
    this.control(node, { type: 'full', id: cell.id })
  }

  #relieve(cell: Cell): void {
    const nodes = this.#heldUp.get(cell) ?? []
    this.#heldUp.delete(cell)
    for (const node of nodes) this.control(node, { type: 'relieved', id: cell.id })
  }

  // what comes in -----------------------------------------------------------------------------------------------------

  /** Delivers what has come, a bounded number of records. */
  receive(): void {
    for (let i = 0; i < RECORDS && this.#receiver.take(); i++);
  }

  #arrived(source: number, id: number, message: unknown): void {
    const actor = this.#known.get(id)
    if (actor instanceof LocalRef) actor.cell.acceptFrom(source, message)
    else if (actor !== undefined) (actor as Address<unknown>).tell(message)
    else this.#system.deadLetter(message, this.refOf(this.#system.node, id, `#${id}`), 'stopped')
  }

  #signalled(id: number, signal: SystemMessage): void {
    const actor = this.#known.get(id)
    if (actor !== undefined) actor.signal(signal)
    else if (signal.type === 'watch') {
      const ended = this.refOf(this.#system.node, id, `#${id}`)
      signal.watcher.signal({ type: 'terminated', actor: ended, error: undefined })
    }
  }

  #obey(source: number, control: Control): void {
    if (control.type === 'full') {
      const { gates } = this.#linkTo(source)
      if (!gates.has(control.id)) gates.set(control.id, new Gate())
    } else if (control.type === 'relieved') {
      const { gates } = this.#linkTo(source)
      gates.get(control.id)?.open()
      gates.delete(control.id)
    } else this.#system.obey(control)
  }

  // who is who --------------------------------------------------------------------------------------------------------

  /** Makes an actor of this node known to others under a number that it has or is given. */
  register(actor: { id: number }, ref: Address, id: number = actor.id || this.transport.allocate()): void {
    actor.id = id
    this.#known.set(id, ref)
  }

  forget(id: number): void {
    this.#known.delete(id)
  }

  /** The address of an actor by its number. */
  refOf(node: number, id: number, path: string): Address {
    if (node !== this.transport.node) return new RemoteRef(this, node, id, path)
    return this.#known.get(id) ?? new RemoteRef(this, node, id, path) // it has ended: what it is sent comes back as that
  }

  /** A node has ended, with all that was on its way there. */
  lose(node: number): void {
    const link = this.#links[node]
    if (link === undefined) return
    link.clear()
    this.#dirty.delete(link)
  }

  /** Gives an actor of this node a number before another hears of it. */
  readonly #number = (ref: Address): void => {
    if (ref.id === 0) this.register(ref instanceof LocalRef ? ref.cell : (ref as { id: number }), ref)
  }

  #linkTo(node: number): Link {
    this.#links[node] ??= new Link(this.transport, node, this.#number)
    const link = this.#links[node]
    if (this.#dirty.size === 0) this.#system.wake()
    this.#dirty.add(link)
    return link
  }
}
