/** Who watches an actor, and whom it watches. Owner thread only. */

import { type Address, isSameActor } from './ref.js'

export class Watching {
  readonly #self: Address
  #watchers: Address[] = []
  #watched: Address[] = []

  constructor(self: Address) {
    this.#self = self
  }

  /** Begins to watch an actor. */
  begin(actor: Address): void {
    if (this.#watched.some((each) => isSameActor(each, actor))) return
    this.#watched.push(actor)
    actor.signal({ type: 'watch', watcher: this.#self })
  }

  /** Watches an actor no more. */
  end(actor: Address): void {
    this.forget(actor)
    actor.signal({ type: 'unwatch', watcher: this.#self })
  }

  /** Tells whether an actor that has ended was watched, which it is no more. */
  forget(actor: Address): boolean {
    const rest = this.#watched.filter((each) => !isSameActor(each, actor))
    const was = rest.length < this.#watched.length
    this.#watched = rest
    return was
  }

  addWatcher(watcher: Address): void {
    if (!this.#watchers.some((each) => isSameActor(each, watcher))) this.#watchers.push(watcher)
  }

  removeWatcher(watcher: Address): void {
    this.#watchers = this.#watchers.filter((each) => !isSameActor(each, watcher))
  }

  /** The actors of a node that are watched; those there that watch are gone. */
  lose(node: number): readonly Address[] {
    this.#watchers = this.#watchers.filter((each) => each.node !== node)
    return this.#watched.filter((each) => each.node === node)
  }

  /** The actor itself has ended, with an error if it failed. */
  close(error: unknown): void {
    for (const actor of this.#watched) actor.signal({ type: 'unwatch', watcher: this.#self })
    for (const watcher of this.#watchers) watcher.signal({ type: 'terminated', actor: this.#self, error })
  }
}
