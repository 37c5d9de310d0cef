/**
 * The bench: servers out of process, measured side by side, CPU time a request first.
 *
 * {@link measure} runs them in interleaved rounds, {@link renderText} and {@link renderMarkdown} show the medians.
 */
export { findLoader, type Load, type Loader, type LoadResult, parseWrk } from './load.js'
export { type Measurement, type MeasureOptions, measure, type Scenario, scenariosFor } from './measure.js'
export { cpuMicroseconds, type ProcessStat, parseStat } from './process-cpu.js'
export { median, type Report, renderMarkdown, renderText, summarise } from './report.js'
export { listModels, modelServer, nodeHttpServer, type RunningServer, type ServerSpec, startServer } from './servers.js'
