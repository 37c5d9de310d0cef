/** Servers after the patterns for concurrent and networked objects. */
export { type ProactorOptions, proactor } from './proactor.js'
