/** Options under which a model is tried a second time, since they choose another mechanism. */

export interface Variant {
  readonly model: string
  readonly set: Readonly<Record<string, string | number>>
}

export const variants: readonly Variant[] = [
  { model: 'epoll', set: { trigger: 'edge' } },
  { model: 'kqueue', set: { trigger: 'edge' } },
  { model: 'reactor', set: { loops: 2 } },
  { model: 'reactor', set: { workers: 2 } },
  { model: 'reactor', set: { loops: 2, workers: 2 } },
  { model: 'proactor', set: { backend: 'aio' } },
  { model: 'proactor', set: { backend: 'emulated' } },
  { model: 'event-loop', set: { demultiplexer: 'poll' } },
  { model: 'half-sync-async', set: { threads: 2, waiting: 1 } },
  { model: 'leader-follower', set: { events: 'hand-off' } },
  { model: 'hybrid', set: { combination: 'processes+threads' } },
  { model: 'hybrid', set: { combination: 'epoll+coroutine' } },
  { model: 'pipeline', set: { read: 2, parse: 2, handle: 2, waiting: 1 } },
]
