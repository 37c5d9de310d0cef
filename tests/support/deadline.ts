/** Bounds for waits. They say when to give up, never how fast something must be. */

const PATIENCE_MS = 30_000
const POLL_MS = 10

let patience = PATIENCE_MS

/** Runs something that is expected to fail without waiting as long as for something that should work. */
export async function impatiently<T>(ms: number, work: () => Promise<T>): Promise<T> {
  patience = ms
  try {
    return await work()
  } finally {
    patience = PATIENCE_MS
  }
}

/** Waits for a promise; rejects, saying what it waited for, when the deadline has passed. */
export async function within<T>(what: string, promise: Promise<T>, ms: number = patience): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Polls until a condition gives something truthy, and returns that. */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  ms: number = patience,
): Promise<NonNullable<T>> {
  const end = Date.now() + ms
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() >= end) throw new Error(`not within ${ms} ms: ${what}`)
    await pause(POLL_MS)
  }
}

/** Lets time pass: to measure over a span, or to be a client that does nothing; never to wait until something is ready. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
