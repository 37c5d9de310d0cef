/** Servers made of processes. */
export { type SingleProcessOptions, singleProcess } from './single-process.js'
