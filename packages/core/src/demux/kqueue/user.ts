/** EVFILT_USER, which needs no system call: only the queue's own thread can trigger it here. */
import {
  EV_CLEAR,
  EVFILT_USER,
  type KeventList,
  NOTE_FFAND,
  NOTE_FFCOPY,
  NOTE_FFCTRLMASK,
  NOTE_FFLAGSMASK,
  NOTE_FFOR,
  NOTE_TRIGGER,
} from '../../posix/index.js'
import { type Attachment, type Change, type Knote, Knotes } from './knotes.js'

/** The knotes of EVFILT_USER and those of them that were triggered. */
export class UserFilter implements Attachment {
  readonly knotes: Knotes = new Knotes(this)
  readonly #triggered = new Set<Knote>()
  /** The 24 bits of each. */
  readonly #bits = new Map<Knote, number>()

  /** True where there is something to tell without waiting. */
  get hasPending(): boolean {
    for (const knote of this.#triggered) if (knote.enabled) return true
    return false
  }

  /** Writes the events from entry `n` on, as far as there is room; returns how many. */
  collect(events: KeventList, n: number, capacity: number): number {
    let count = 0
    for (const knote of this.#triggered) {
      if (n + count === capacity) break
      if (!knote.enabled) continue
      const bits = this.#bits.get(knote) ?? 0
      events.set(n + count++, knote.ident, EVFILT_USER, knote.flags, bits, knote.data, knote.udata)
      if (knote.flags & EV_CLEAR) this.#triggered.delete(knote)
      this.knotes.told(knote)
    }
    return count
  }

  attach(knote: Knote): void {
    if (this.#bits.has(knote)) this.#apply(knote, knote.fflags)
    else this.#bits.set(knote, knote.fflags & NOTE_FFLAGSMASK)
    if (knote.fflags & NOTE_TRIGGER) this.#triggered.add(knote)
  }

  touch(knote: Knote, { fflags, data, udata }: Change): void {
    knote.data = data
    knote.udata = udata
    this.#apply(knote, fflags)
    if (fflags & NOTE_TRIGGER) this.#triggered.add(knote)
  }

  arm(): void {}

  detach(knote: Knote): void {
    this.#triggered.delete(knote)
    this.#bits.delete(knote)
  }

  #apply(knote: Knote, fflags: number): void {
    const former = this.#bits.get(knote) ?? 0
    const bits = fflags & NOTE_FFLAGSMASK
    const control = (fflags & NOTE_FFCTRLMASK) >>> 0
    if (control === NOTE_FFAND) this.#bits.set(knote, former & bits)
    else if (control === NOTE_FFOR) this.#bits.set(knote, former | bits)
    else if (control === NOTE_FFCOPY) this.#bits.set(knote, bits)
  }
}
