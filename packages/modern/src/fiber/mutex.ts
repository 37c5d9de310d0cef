import type { Steps } from '@cs/core/coroutine'
import { Offer } from './offer.js'
import { call } from './stack.js'
import { WaitList } from './wait-list.js'

/**
 * Keeps all fibers of a thread but one out of something that takes several steps which wait. Who waits gets it in the order of
 * coming, and straight from the one before, so that nobody is overtaken.
 */
export class Mutex {
  readonly #waiting = new WaitList<Lock>()
  #isLocked = false

  get isLocked(): boolean {
    return this.#isLocked
  }

  /** Waits until the mutex is free, and takes it. */
  lock(): Offer<void> {
    return new Lock(this)
  }

  /** Gives it to whoever has waited longest, or frees it. @throws Error where it is not locked */
  unlock(): void {
    if (!this.#isLocked) throw new Error('the mutex is not locked')
    const next = this.#waiting.shift()
    if (next === undefined) this.#isLocked = false
    else next.succeed()
  }

  /** Runs steps while it holds the mutex. */
  *locked<T>(steps: Steps<T>): Steps<T> {
    yield* this.lock()
    try {
      return yield* call(steps)
    } finally {
      this.unlock()
    }
  }

  /** @internal */
  tryLock(): boolean {
    if (this.#isLocked) return false
    this.#isLocked = true
    return true
  }

  /** @internal */
  enlist(lock: Lock): void {
    this.#waiting.push(lock)
  }
}

class Lock extends Offer<void> {
  readonly what = 'for a mutex'
  readonly #mutex: Mutex

  constructor(mutex: Mutex) {
    super()
    this.#mutex = mutex
  }

  attempt(): boolean {
    if (!this.#mutex.tryLock()) return false
    this.succeed()
    return true
  }

  enlist(): void {
    this.#mutex.enlist(this)
  }
}
