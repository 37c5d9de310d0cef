/** The model floor: how a model is defined, what options it has, and the server that it becomes. */
export { COMMON_OPTIONS, type CommonOptions } from './common-options.js'
export { type Definition, defineModel, type Family, type Model } from './define.js'
export {
  checkOptions,
  choice,
  flag,
  integer,
  milliseconds,
  OptionError,
  type OptionSpec,
  type OptionSpecs,
} from './options.js'
export type { Parts, Plain, ServeOptions, Server, Statistics, UnitStatistics } from './server.js'
