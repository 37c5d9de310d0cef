/**
 * A suite: what it compares, and what it measures of it.
 *
 * `select` says which of its servers this machine has; `measure` runs them, interleaved over rounds, and returns what is to be
 * shown and written. All suites take the same flags; what a suite has beside them it names in `flags`.
 */
import type { Loader } from './load.js'
import type { Environment } from './report.js'
import type { Failure } from './rounds.js'
import type { ModelEntry, ServerSpec } from './servers.js'

export interface Suite {
  /** Its name on the command line, in kebab-case. */
  readonly name: string
  /** What it measures, of which servers, on one line. */
  readonly description: string
  /** Flags that it takes and not every suite. */
  readonly flags: readonly string[]
  /** Its servers, of the models that there are; `wanted` names models and leaves out the others. @throws on an unknown one */
  select(known: readonly ModelEntry[], wanted: readonly string[] | undefined): Selection
  /** @throws when the signal is aborted */
  measure(servers: readonly ServerSpec[], request: SuiteRequest): Promise<SuiteReport>
}

/** What a suite can measure here, and what it cannot. */
export interface Selection {
  readonly servers: readonly ServerSpec[]
  readonly skipped: readonly Skip[]
}

/** A server of the suite that is not here. */
export interface Skip {
  readonly server: string
  readonly reason: string
}

/** What was asked for. */
export interface SuiteRequest {
  readonly loader: Loader
  readonly rounds: number
  /** Of one measurement; each is preceded by a warm-up. */
  readonly seconds: number
  /** Of the load, kept alive. */
  readonly connections: number
  /** How many idle connections, one count after the other; the suite has its own where none are given. */
  readonly idle: readonly number[] | undefined
  readonly skipped: readonly Skip[]
  readonly environment: Environment
  readonly signal: AbortSignal
  /** Told in a few words what is being done. */
  readonly progress: (what: string) => void
}

/** What came out. */
export interface SuiteReport {
  /** For the terminal. */
  readonly text: string
  /** File names and what they hold. */
  readonly files: Readonly<Record<string, string>>
  readonly failures: readonly Failure[]
}
