/**
 * A load of cheap and expensive requests, that tells the latency of the cheap ones. Requests come at random times, whether or not
 * the server keeps up, and each counts from the moment when it was to be sent: a load that waits for answers would be kept from
 * sending by the very requests that make others wait. wrk and autocannon do that, and tell one latency for all.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Load, Loader, LoadResult } from './load.js'

/** Requests a second: what the expensive ones among them burn is a tenth of a processor, and two at once are rare. */
export const RATE = 200

/** What the thread of the load is told. */
export interface MixedTask extends Omit<Load, 'close'> {
  readonly rate: number
  /** One cell: not 0 once the load is to end before its time. */
  readonly stop: Int32Array
}

/** What it tells. */
export interface MixedOutcome {
  readonly requests: number
  readonly errors: number
  readonly seconds: number
  readonly cheapMs: readonly number[]
}

export const mixedLoader: Loader = { name: 'mixed', run }

/** Sends from a thread of its own, which nothing of the bench keeps from its work. */
async function run({ url, connections, seconds }: Load, signal: AbortSignal): Promise<LoadResult> {
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const task: MixedTask = { url, connections, seconds, rate: RATE, stop }
  const end = (): void => void Atomics.store(stop, 0, 1)
  signal.addEventListener('abort', end)
  try {
    const thread = new Worker(new URL('./mixed-clients.js', import.meta.url), { workerData: task })
    const [{ requests, errors, seconds: took, cheapMs }] = (await once(thread, 'message')) as [MixedOutcome]
    signal.throwIfAborted()
    const sorted = cheapMs.toSorted((a, b) => a - b)
    return { requests, errors, seconds: took, p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) }
  } finally {
    signal.removeEventListener('abort', end)
  }
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}
