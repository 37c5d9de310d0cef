/** The first module of a worker thread: runs one unit, and ends the thread's part in the server. */

import { parentPort, workerData } from 'node:worker_threads'
import { Binding } from './binding.js'
import type { ThreadBoot } from './unit-run.js'

const port = parentPort!
const { boot, binding: cell } = workerData as ThreadBoot

// Node opens all files of an import at once: floor by floor they are few enough where descriptors are short.
for (const floor of ['posix', 'sync', 'socket', 'http', 'connection', 'demux', 'loop', 'coroutine'])
  await import(`../${floor}/index.js`)
const { failure, runUnit } = await import('./unit-run.js')
const { bindAll } = await import('../posix/index.js')

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
