/** The children of an actor, and what it does about those that fail. Owner thread only. */

import type { Behavior } from './behavior.js'
import type { Cell } from './cell.js'
import type { Address } from './ref.js'
import type { SpawnOptions } from './spawn.js'
import { type Directive, directiveFor, Intensity, RestartLimitError, type Supervision } from './supervision.js'

interface Child {
  readonly ref: Address
  /** Has it come to life again where its thread is gone. */
  readonly respawn: (() => void) | undefined
  /** True from the end of its thread on until it is spawned again. */
  lost: boolean
}

const NO_CHILDREN: ReadonlyMap<string, Child> = new Map()

export class Family {
  readonly #parent: Cell
  readonly #supervision: Supervision
  #children: Map<string, Child> | undefined
  #intensity: Intensity | undefined
  #nextName = 1

  constructor(parent: Cell, supervision: Supervision) {
    this.#parent = parent
    this.#supervision = supervision
  }

  get size(): number {
    return this.#children?.size ?? 0
  }

  get refs(): Address[] {
    return [...this.#all.values()].map(({ ref }) => ref)
  }

  get(name: string): Address | undefined {
    return this.#all.get(name)?.ref
  }

  has(ref: unknown): boolean {
    return this.refs.some((each) => each === ref)
  }

  /** @throws Error where the name is taken, or is none; RangeError, TypeError for what cannot be done */
  spawn(behavior: Behavior<never>, options: SpawnOptions): Address {
    const { system, ref: parent, isStopping } = this.#parent
    if (isStopping) throw new Error(`${this.#parent.path} is stopping and has no more children`)
    const name = this.#nameFor(options.name)
    const { ref, respawn } = system.place(parent, name, behavior, options)
    if (respawn !== undefined) system.entangle(this.#parent)
    this.#children ??= new Map()
    this.#children.set(name, { ref, respawn, lost: false })
    return ref
  }

  forget(name: string): void {
    this.#children?.delete(name)
  }

  stopAll(): void {
    for (const [name, child] of this.#all) this.#stop(name, child)
  }

  /** A child has failed, and waits for what is to become of it. */
  failed(name: string, error: unknown): void {
    const child = this.#all.get(name)
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
    if (directive === 'stop') return this.#forEach(name, (each, other) => this.#stop(each, other))
    this.#restart(name, child, error)
  }

  /** A thread has ended: the children that were on it have failed. */
  lose(node: number, error: unknown): void {
    for (const [name, child] of this.#all) {
      if (child.ref.node !== node) continue
      child.lost = true
      this.#parent.signal({ type: 'failed', name, child: child.ref, error })
    }
    if (this.#parent.isStopping) for (const [name, child] of this.#all) if (child.lost) this.#stop(name, child)
  }

  #restart(name: string, failed: Child, error: unknown): void {
    this.#intensity ??= new Intensity()
    const delay = this.#intensity.delay(this.#supervision, performance.now())
    if (delay === undefined) {
      const { maxRestarts = 10, withinMs = 10_000 } = this.#supervision
      return this.#parent.fail(new RestartLimitError(this.#parent.path, maxRestarts, withinMs, error))
    }
    const restart = (): void => {
      if (this.#all.get(name) === failed) this.#forEach(name, (_, child) => this.#begin(child))
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

  #stop(name: string, child: Child): void {
    if (child.lost) {
      this.#parent.system.release(child.ref.node)
      this.#ended(name, child)
    } else child.ref.signal({ type: 'stop' })
  }

  #ended(name: string, child: Child): void {
    this.#parent.signal({ type: 'ended', name, child: child.ref })
  }

  /** Those that a directive concerns. */
  #forEach(name: string, act: (name: string, child: Child) => void): void {
    const all = this.#supervision.strategy === 'all-for-one'
    for (const [each, child] of [...this.#all]) if (all || each === name) act(each, child)
  }

  get #all(): ReadonlyMap<string, Child> {
    return this.#children ?? NO_CHILDREN
  }

  #nameFor(wanted: string | undefined): string {
    if (wanted === undefined) return `$${this.#nextName++}`
    if (wanted === '' || /[/$]/.test(wanted))
      throw new Error(`a name has no slash and no $, and is not empty: ${wanted}`)
    if (this.#all.has(wanted)) throw new Error(`${this.#parent.path} has a child ${wanted} already`)
    return wanted
  }
}
