/** The connection floor: HTTP on a socket, with the app in between, for blocking threads and for demultiplexers alike. */
export * from './connection.js'
export { ConnectionSet } from './connection-set.js'
export {
  ACCEPTED,
  BYTES_OUT,
  CLOSED_COUNT,
  COUNTERS,
  type Counts,
  countsOf,
  ERRORS,
  LOST,
  PAUSES,
  REQUESTS,
  sumOf,
  writeCounts,
} from './counters.js'
export { type FetchApp, monotonicNow, monotonicTime, Service, type ServiceOptions } from './service.js'
export { BLOCKING_TICK_MS, DEFAULT_TIMEOUTS, LINGER_MS, QUIET_MS, type Timeouts } from './timeouts.js'
export { type Transport, transportOfCalls } from './transport.js'
