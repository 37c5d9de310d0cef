/** An app for servers made of processes: says who serves, and ends, blocks or kills whoever does. */

import { existsSync } from 'node:fs'
import { dirname } from 'node:path'

const cell = new Int32Array(new SharedArrayBuffer(4))
let served = 0

const routes = {
  '/where': () => Response.json({ pid: process.pid, served: ++served }),
  '/where-awaited': async () => {
    await new Promise((resolve) => setTimeout(resolve, 5))
    return Response.json({ pid: process.pid, served: ++served })
  },
  '/abort': () => process.abort(),
  /** Never comes round, until the file `gate` is there. */
  '/stuck': (gate) => {
    while (!existsSync(gate) && existsSync(dirname(gate))) Atomics.wait(cell, 0, 0, 20)
    return new Response('too late')
  },
  /** The same without holding the thread. */
  '/waits': async (gate) => {
    while (!existsSync(gate) && existsSync(dirname(gate))) await new Promise((resolve) => setTimeout(resolve, 5))
    return new Response('opened')
  },
}

export default {
  fetch(request) {
    const { pathname, searchParams } = new URL(request.url)
    return routes[pathname]?.(searchParams.get('gate')) ?? new Response('no such route', { status: 404 })
  },
}
