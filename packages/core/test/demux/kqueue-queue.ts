import { type Kqueue, type KqueueBackend, openKqueue } from '@cs/core/demux'
import { close as closeFd, type KeventList, libkqueue } from '@cs/core/posix'
import { onTestFinished } from 'vitest'

/** Milliseconds of a wait for what must come: a wait for ever could not be given up if it did not. */
export const LONG = 10_000

/** A change or an event. */
export interface Kevent {
  readonly ident: number
  readonly filter: number
  readonly flags?: number
  readonly fflags?: number
  readonly data?: number
  readonly udata?: number
}

const all: readonly KqueueBackend[] = ['native', 'libkqueue', 'emulated']

function whyNot(backend: KqueueBackend): string | undefined {
  const { platform } = process
  if (backend === 'native') return platform === 'linux' ? 'Linux has no kqueue of its own' : undefined
  if (platform !== 'linux') return 'only on Linux'
  if (backend === 'emulated') return undefined
  try {
    closeFd(libkqueue.kqueue())
    return undefined
  } catch {
    return 'libkqueue.so.0 is not installed, and current Debian has no package of it'
  }
}

/** The backends that are not here, with the reason, and those that are. */
export const missing: readonly (readonly [KqueueBackend, string])[] = all.flatMap((backend) => {
  const reason = whyNot(backend)
  return reason === undefined ? [] : [[backend, reason] as const]
})
export const backends: readonly KqueueBackend[] = all.filter((backend) => missing.every(([name]) => name !== backend))

/** A queue in the words of the tests, closed when the test is over. */
export function openQueue(backend: KqueueBackend): Queue {
  const queue = new Queue(openKqueue(backend))
  onTestFinished(() => queue.kq.close())
  return queue
}

export class Queue {
  readonly kq: Kqueue
  readonly #changes: KeventList
  readonly #events: KeventList

  constructor(kq: Kqueue, capacity = 64) {
    this.kq = kq
    this.#changes = kq.list(capacity)
    this.#events = kq.list(capacity)
  }

  /** Applies changes and returns the events, in the order of their filters and idents. */
  kevent(changes: readonly Kevent[], timeoutMs: number, capacity = this.#events.capacity): Required<Kevent>[] {
    for (const [i, { ident, filter, flags = 0, fflags = 0, data = 0, udata = 0 }] of changes.entries()) {
      this.#changes.set(i, ident, filter, flags, fflags, data, udata)
    }
    const n = this.kq.kevent(this.#changes, changes.length, this.#events, capacity, timeoutMs)
    const events = this.#events
    const told = Array.from({ length: n }, (_, i) => ({
      ident: events.ident(i),
      filter: events.filter(i),
      flags: events.flags(i),
      fflags: events.fflags(i),
      data: events.data(i),
      udata: events.udata(i),
    }))
    return told.sort((a, b) => b.filter - a.filter || a.ident - b.ident)
  }

  /** Applies one change; it must succeed. */
  apply(change: Kevent): void {
    this.kevent([change], 0, 0)
  }

  /** What is ready now, as pairs of filter and ident. */
  ready(): [number, number][] {
    return this.kevent([], 0).map(({ filter, ident }) => [filter, ident])
  }

  /** Waits for one event. */
  next(): Required<Kevent> {
    const told = this.kevent([], LONG)
    if (told.length !== 1) throw new Error(`${told.length} events in place of one`)
    return told[0] as Required<Kevent>
  }
}
