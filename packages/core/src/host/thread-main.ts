/** The first module of a worker thread: runs one unit, and ends the thread's part in the server. */

import { parentPort, workerData } from 'node:worker_threads'
import { bindAll } from '../posix/index.js'
import { Binding, failure, runUnit, type ThreadBoot } from './index.js'

const port = parentPort!
const { boot, binding: cell } = workerData as ThreadBoot

const binding = new Binding(cell)
if (!binding.enter()) process.exit()
try {
  bindAll()
} finally {
  binding.leave()
}

runUnit(boot, { tell: (message) => port.postMessage(message) })
  .catch((error) => port.postMessage(failure(error)))
  .finally(() => process.exit()) // what an app left open (timers, sockets of its own) would keep the thread for ever
