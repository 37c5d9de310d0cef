/**
 * The bench: servers out of process, measured side by side, CPU time a request first.
 *
 * {@link measure} runs them in interleaved rounds, {@link renderText} and {@link renderMarkdown} show the medians.
 * {@link suites} are what `npm run bench` offers by name.
 */
export { findLoader, type Load, type Loader, type LoadResult, parseWrk } from './load.js'
export { type Measurement, type MeasureOptions, measure, type Scenario, scenariosFor } from './measure.js'
export { cpuMicroseconds, type ProcessStat, parseStat } from './process-cpu.js'
export { memoryBytes } from './process-memory.js'
export { type Environment, median, type Report, renderMarkdown, renderText, summarise } from './report.js'
export type { Failure } from './rounds.js'
export {
  listModels,
  type ModelEntry,
  modelServer,
  nodeHttpServer,
  type RunningServer,
  type ServerSpec,
  startServer,
} from './servers.js'
export type { Selection, Skip, Suite, SuiteReport, SuiteRequest } from './suite.js'
export { findSuites, suites } from './suites.js'
