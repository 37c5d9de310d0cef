/** What surrounds the servers of the five examples: a socket that listens, clients that come, a clock for CPU time. */
import { Worker } from 'node:worker_threads'
import { bind, getsockname, listen, PosixError, socket } from '@cs/core/posix'

/** Makes a listening socket on a free port, to which `clients` clients will come from another thread. */
export function listenFor(clients, { nonblocking = false } = {}) {
  const listener = socket('ipv4', { nonblocking })
  bind(listener, { family: 'ipv4', host: '127.0.0.1', port: 0 })
  listen(listener, 16)
  new Worker(new URL('./client.mjs', import.meta.url), { workerData: { address: getsockname(listener), clients } })
  return listener
}

/** Returns the outcome of a call, unless it is a failure. */
export function succeed(call, n) {
  if (n < 0) throw new PosixError(call, n)
  return n
}

/**
 * Measures from now on; what it returns ends that and prints what `tell` makes of the milliseconds, and the CPU time that all
 * threads of the process used.
 */
export function stopwatch() {
  const began = performance.now()
  const cpu = process.cpuUsage()
  return (tell) => {
    const { user, system } = process.cpuUsage(cpu)
    console.log(tell(Math.round(performance.now() - began)))
    console.log(`CPU time used while waiting: ${((user + system) / 1000).toFixed(1)} ms`)
  }
}
