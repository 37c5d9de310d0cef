const BURN_MS = 5

/** Between two looks at the clock: each leaves a number to be collected, for which V8 takes the other processors, too. */
const STEPS = 10_000

let last = 1

/** Keeps a processor busy for 5 ms of the clock. */
export function burn(): void {
  let x = last
  for (const end = performance.now() + BURN_MS; performance.now() < end; ) {
    for (let step = 0; step < STEPS; step++) x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0
  }
  last = x
}
