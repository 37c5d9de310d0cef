/** The cs command as a library: what other packages of the workspace use of it. */
export { entryOf, type ListEntry } from './list.js'
