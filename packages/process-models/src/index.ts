/** Servers made of processes. */
export { type MultiProcessOptions, multiProcess } from './multi-process.js'
export { type ProcessPool1Options, processPool1 } from './process-pool1.js'
export { type ProcessPool2Options, processPool2 } from './process-pool2.js'
export { type SingleProcessOptions, singleProcess } from './single-process.js'
