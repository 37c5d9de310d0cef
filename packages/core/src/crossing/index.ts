/** The crossing floor: requests that are parsed on one thread and handled on another, and their responses back. */
export { Answerer } from './answerer.js'
export { Bell } from './bell.js'
export { Caller } from './caller.js'
export { Crossing, type CrossingSettings, type QueueReport } from './crossing.js'
export { PIECE_BYTES } from './records.js'
export { A, B, FLAGS, ID, KIND, PAYLOAD, SENDER, Sheet, STAMP } from './sheet.js'
