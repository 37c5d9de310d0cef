/**
 * A load of cheap and expensive requests, that tells the latency of the cheap ones. Requests come at random times, whether or not
 * the server keeps up, and each counts from the moment when it was to be sent: a load that waits for answers would be kept from
 * sending by the very requests that make others wait. wrk and autocannon do that, and tell one latency for all.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Load, Loader, LoadResult } from './load.js'

/** How many requests are sent a second, and which of them are expensive. */
export interface Mix {
  readonly rate: number
  /** Every so many requests one is. */
  readonly every: number
}

/** What the expensive ones burn is a tenth of a processor, and two at once are rare. */
export const MEASURED: Mix = { rate: 200, every: 10 }

/** The same burden, and ten times as many requests: V8 compiles what they need before they are measured. */
const WARMING: Mix = { rate: 2000, every: 100 }

/** What the thread of the load is told. */
export interface MixedTask extends Omit<Load, 'close'>, Mix {
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

export const mixedLoader: Loader = { name: 'mixed', run: (load, signal) => run(load, MEASURED, signal) }

/**
 * Warms a server up for the mixed load: by another one, so that all of its threads run compiled code, then by its own requests,
 * for twice as long. At the rate that is measured V8 would still compile after ten seconds, on the processors that others wait for.
 */
export function warmerBy(loader: Loader): Loader {
  return {
    name: 'mixed',
    async run(load, signal) {
      await loader.run(load, signal)
      return run({ ...load, seconds: 2 * load.seconds }, WARMING, signal)
    },
  }
}

/** Sends from a thread of its own, which nothing of the bench keeps from its work. */
async function run({ url, connections, seconds }: Load, mix: Mix, signal: AbortSignal): Promise<LoadResult> {
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const task: MixedTask = { url, connections, seconds, ...mix, stop }
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
