import { Operation, type Task } from '@cs/core/coroutine'
import { type Chooser, Offer } from './offer.js'

/** What select() gives back: which of the offers has come about, and its value. */
export type Selected<Offers> = {
  readonly [K in keyof Offers]: {
    readonly key: K
    readonly value: Offers[K] extends Offer<infer T> ? T : never
  }
}[keyof Offers]

/**
 * Waits for the first of several offers to come about, and takes the others back. Of several that can come about at once each has its
 * turn.
 *
 *   const chosen = yield* select({ job: jobs.receive(), late: after(100) })
 *   if (chosen.key === 'job') work(chosen.value)
 *
 * @throws what the offer throws that fails first
 */
export function select<Offers extends Readonly<Record<string, Offer<unknown>>>>(
  offers: Offers,
): Operation<Selected<Offers>> {
  return new Selection(offers) as Operation<Selected<Offers>>
}

/** Comes about in `ms` milliseconds: a bound for select(). */
export function after(ms: number): Offer<void> {
  return new After(ms)
}

/** Which offer is tried first, so that none is always behind another. */
let first = 0

class Selection extends Operation<{ readonly key: string; readonly value: unknown }> implements Chooser {
  readonly #offers: Readonly<Record<string, Offer<unknown>>>
  #task: Task | undefined

  constructor(offers: Readonly<Record<string, Offer<unknown>>>) {
    super()
    this.#offers = offers
  }

  get what(): string {
    return Object.values(this.#offers)
      .map((offer) => offer.what)
      .join(' or ')
  }

  suspend(task: Task): void {
    this.#task = task
    const offers = Object.values(this.#offers)
    first = (first + 1) | 0
    for (const offer of offers) {
      offer.task = task
      offer.chooser = this
    }
    for (let i = 0; i < offers.length; i++) if (offers[((first >>> 0) + i) % offers.length].attempt()) return
    for (const offer of offers) offer.enlist()
  }

  abandon(): void {
    for (const offer of Object.values(this.#offers)) {
      offer.withdraw()
      offer.chooser = undefined
    }
  }

  accepted(offer: Offer<unknown>, value: unknown): void {
    const key = Object.keys(this.#offers).find((name) => this.#offers[name] === offer)!
    this.abandon()
    this.#task!.resume({ key, value })
  }

  refused(_: Offer<unknown>, error: unknown): void {
    this.abandon()
    this.#task!.fail(error)
  }
}

class After extends Offer<void> {
  readonly #ms: number
  #cancel: (() => void) | undefined

  constructor(ms: number) {
    super()
    this.#ms = ms
  }

  get what(): string {
    return `for ${this.#ms} ms to pass`
  }

  attempt(): boolean {
    return false
  }

  enlist(): void {
    this.#cancel = this.task!.host.after(this.#ms, () => this.succeed())
  }

  override withdraw(): void {
    this.#cancel?.()
  }
}
