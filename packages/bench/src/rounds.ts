/** Rounds: every server once a round, round after round, so that what disturbs the machine disturbs all of them. */
import type { ServerSpec } from './servers.js'

/** A server that could not be measured, or did not stop as it should. */
export interface Failure {
  readonly server: string
  readonly round: number
  readonly message: string
}

export interface RoundsOptions {
  readonly servers: readonly ServerSpec[]
  readonly rounds: number
  readonly signal: AbortSignal
}

/** Visits all servers in each round; one that fails is reported, and the others go on. @throws when the signal is aborted */
export async function interleave(
  { servers, rounds, signal }: RoundsOptions,
  visit: (spec: ServerSpec, round: number) => Promise<void>,
): Promise<readonly Failure[]> {
  const failures: Failure[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const spec of servers) {
      try {
        await visit(spec, round)
      } catch (error) {
        signal.throwIfAborted()
        failures.push({ server: spec.name, round, message: (error as Error).message })
      }
    }
  }
  return failures
}
