/**
 * The children of an actor, and what it does about those that fail. Owner thread only.
 *
 * Each has a slot, whose number is used again when it has ended. A map by names would do, but where children come and go by the
 * thousand its dead tables keep young garbage alive, and collecting that costs more than all the rest.
 */

import type { Behavior } from './behavior.js'
import type { Cell } from './cell.js'
import type { Address } from './ref.js'
import type { SpawnOptions } from './spawn.js'
import { type Directive, directiveFor, Intensity, RestartLimitError, type Supervision } from './supervision.js'

interface Child {
  readonly slot: number
  readonly ref: Address
  /** The name that it was given. */
  readonly name: string | undefined
  /** Has it come to life again where its thread is gone. */
  readonly respawn: (() => void) | undefined
  /** True from the end of its thread on until it is spawned again. */
  lost: boolean
}

export class Family {
  readonly #parent: Cell
  readonly #supervision: Supervision
  readonly #children: (Child | undefined)[] = []
  readonly #freeSlots: number[] = []
  #named: Map<string, Child> | undefined
  #intensity: Intensity | undefined
  #nextName = 1

  constructor(parent: Cell, supervision: Supervision) {
    this.#parent = parent
    this.#supervision = supervision
  }

  get size(): number {
    return this.#children.length - this.#freeSlots.length
  }

  get refs(): Address[] {
    return this.#all.map(({ ref }) => ref)
  }

  get(name: string): Address | undefined {
    return this.#named?.get(name)?.ref
  }

  has(ref: unknown): boolean {
    return this.#children.some((child) => child?.ref === ref)
  }

  /** @throws Error where the name is taken, or is none; RangeError, TypeError for what cannot be done */
  spawn(behavior: Behavior<never>, options: SpawnOptions): Address {
    const { system, ref: parent, isStopping } = this.#parent
    const { name } = options
    if (isStopping) throw new Error(`${this.#parent.path} is stopping and has no more children`)
    if (name !== undefined) this.#check(name)
    const slot = this.#freeSlots.at(-1) ?? this.#children.length
    const { ref, respawn } = system.place({ parent, slot, name: name ?? this.#nextName++ }, behavior, options)
    if (respawn !== undefined) system.entangle(this.#parent)
    const child = { slot, ref, name, respawn, lost: false }
    this.#freeSlots.pop()
    this.#children[slot] = child
    if (name !== undefined) {
      this.#named ??= new Map()
      this.#named.set(name, child)
    }
    return ref
  }

  forget(slot: number): void {
    const child = this.#children[slot]
    if (child === undefined) return
    this.#children[slot] = undefined
    this.#freeSlots.push(slot)
    if (child.name !== undefined) this.#named?.delete(child.name)
  }

  stopAll(): void {
    for (const child of this.#children) if (child !== undefined) this.#stop(child)
  }

  /** A child has failed, and waits for what is to become of it. */
  failed(slot: number, error: unknown): void {
    const child = this.#children[slot]
    if (child === undefined || this.#parent.isStopping) return
    let directive: Directive
    try {
      directive = directiveFor(this.#supervision, error, child.ref)
    } catch (mistake) {
      return this.#parent.fail(mistake)
    }
    if (directive === 'escalate') return this.#parent.fail(error)
    if (directive === 'resume' && !child.lost) return child.ref.signal({ type: 'resume' })
    this.#parent.system.log(`${child.ref.path} failed`, error)
    if (directive === 'stop') for (const each of this.#concerned(child)) this.#stop(each)
    else this.#restart(child, error)
  }

  /** A thread has ended: the children that were on it have failed. */
  lose(node: number, error: unknown): void {
    for (const child of this.#all) {
      if (child.ref.node !== node) continue
      child.lost = true
      if (this.#parent.isStopping) this.#stop(child)
      else this.#parent.signal({ type: 'failed', slot: child.slot, error })
    }
  }

  #restart(failed: Child, error: unknown): void {
    this.#intensity ??= new Intensity()
    const delay = this.#intensity.delay(this.#supervision, performance.now())
    if (delay === undefined) {
      const { maxRestarts = 10, withinMs = 10_000 } = this.#supervision
      return this.#parent.fail(new RestartLimitError(this.#parent.path, maxRestarts, withinMs, error))
    }
    const restart = (): void => {
      if (this.#children[failed.slot] === failed) for (const child of this.#concerned(failed)) this.#begin(child)
    }
    if (delay === 0) restart()
    else this.#parent.context.delay(delay, restart)
  }

  #begin(child: Child): void {
    if (!child.lost) return child.ref.signal({ type: 'restart' })
    child.lost = false
    this.#parent.system.counts.restarts++
    child.respawn?.()
  }

  #stop({ slot, ref, lost }: Child): void {
    if (!lost) return ref.signal({ type: 'stop' })
    this.#parent.system.release(ref.node)
    this.#parent.signal({ type: 'ended', slot })
  }

  /** Those that a directive concerns. */
  #concerned(failed: Child): readonly Child[] {
    return this.#supervision.strategy === 'all-for-one' ? this.#all : [failed]
  }

  get #all(): Child[] {
    return this.#children.filter((child) => child !== undefined)
  }

  #check(name: string): void {
    if (name === '' || /[/$]/.test(name)) throw new Error(`a name has no slash and no $, and is not empty: ${name}`)
    if (this.#named?.has(name)) throw new Error(`${this.#parent.path} has a child ${name} already`)
  }
}
