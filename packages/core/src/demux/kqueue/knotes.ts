import {
  ENOENT,
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_DISPATCH,
  EV_ENABLE,
  EV_ONESHOT,
  PosixError,
} from '../../posix/index.js'

/** What a change does to one ident of one filter: an entry of a change list. */
export interface Change {
  readonly ident: number
  readonly flags: number
  readonly fflags: number
  readonly data: number
  readonly udata: number
}

/** What a queue knows of one ident of one filter. */
export interface Knote {
  readonly ident: number
  /** EV_ONESHOT, EV_CLEAR and EV_DISPATCH. */
  flags: number
  fflags: number
  data: number
  udata: number
  enabled: boolean
  /** What it is registered by with the queue's {@link Descriptors}, or 0. */
  tag: number
}

/** What a filter does for its knotes. */
export interface Attachment {
  /** Takes up a knote that is new, or has been added again. @throws PosixError; then it is detached */
  attach(knote: Knote): void
  /** Looks at a change of a knote that is there already, beyond what all filters have. */
  touch?(knote: Knote, change: Change): void
  /** Brings into force whether the knote is enabled. */
  arm(knote: Knote): void
  /** Gives back what the knote holds, if anything. */
  detach(knote: Knote): void
}

const KEPT = EV_ONESHOT | EV_CLEAR | EV_DISPATCH

/** The knotes of one filter of an emulated queue, changed as kqueue(2) says. */
export class Knotes {
  readonly #all = new Map<number, Knote>()
  readonly #attachment: Attachment

  constructor(attachment: Attachment) {
    this.#attachment = attachment
  }

  get(ident: number): Knote | undefined {
    return this.#all.get(ident)
  }

  /** Applies a change: 0 or a negative errno. */
  change(change: Change): number {
    const { ident, flags } = change
    const known = this.#all.get(ident)
    if (flags & EV_ADD) return this.#add(change, known)
    if (known === undefined) return -ENOENT
    if (flags & EV_DELETE) return this.delete(known)
    this.#attachment.touch?.(known, change)
    this.#enable(known, flags & EV_ENABLE ? true : flags & EV_DISABLE ? false : known.enabled)
    return 0
  }

  /** Does what its flags say when a knote has been told. */
  told(knote: Knote): void {
    if (knote.flags & EV_ONESHOT) this.delete(knote)
    else if (knote.flags & EV_DISPATCH) this.#enable(knote, false)
  }

  delete(knote: Knote): 0 {
    this.#all.delete(knote.ident)
    this.#attachment.detach(knote)
    return 0
  }

  close(): void {
    for (const knote of this.#all.values()) this.delete(knote)
  }

  #add(change: Change, known: Knote | undefined): number {
    const { ident, flags, fflags, data, udata } = change
    const knote = known ?? { ident, flags: 0, fflags: 0, data: 0, udata: 0, enabled: true, tag: 0 }
    Object.assign(knote, { flags: flags & KEPT, fflags, data, udata })
    this.#all.set(ident, knote)
    try {
      this.#attachment.attach(knote)
    } catch (error) {
      this.delete(knote)
      if (error instanceof PosixError) return error.errno
      throw error
    }
    this.#enable(knote, (flags & EV_DISABLE) === 0)
    return 0
  }

  #enable(knote: Knote, enabled: boolean): void {
    knote.enabled = enabled
    this.#attachment.arm(knote)
  }
}
