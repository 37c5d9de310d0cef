const BURN_MS = 5

/** Keeps a processor busy for 5 ms of the CPU time of this thread or, where that cannot be told, of the clock. */
export function burn(): void {
  const end = performance.now() + BURN_MS
  while (performance.now() < end);
}
