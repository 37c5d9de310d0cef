/** The app that the contract is tested with: one route a behaviour, each described where it stands. */

import { createHash } from 'node:crypto'
import { appendFileSync, existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { threadId } from 'node:worker_threads'

const big = Buffer.alloc(10_000_000, '0123456789')
const cell = new Int32Array(new SharedArrayBuffer(4))

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Gates are files: whoever tests opens one by creating it, so nothing depends on how long something takes. */
async function opened(gate) {
  while (isShut(gate)) await sleep(5)
}

/** A gate whose folder is gone is nobody's any more. */
function isShut(gate) {
  return !existsSync(gate) && existsSync(dirname(gate))
}

/** Ways to be asynchronous. */
const awaited = {
  timer: () => sleep(1),
  file: () => readFile(new URL(import.meta.url)),
  fetch: async (url) => (await fetch(url)).text(),
  immediate: () => new Promise((resolve) => setImmediate(resolve)),
  tick: () => new Promise((resolve) => process.nextTick(resolve)),
  microtasks: async () => {
    for (let i = 0; i < 50; i++) await undefined
  },
}

const routes = {
  '/hello': () => new Response('Hello, World!'),

  '/echo': async (request, url) => {
    const { pathname: path, search: query } = url
    const headers = Object.fromEntries(request.headers)
    return Response.json({ method: request.method, path, query, headers, body: await request.text() })
  },

  /** Length and hash of the body. */
  '/digest': async (request) => {
    const bytes = new Uint8Array(await request.arrayBuffer())
    return Response.json({ length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })
  },

  /** Creates the file `begun`, then waits for the body. */
  '/wait-for-body': async (request, { searchParams }) => {
    appendFileSync(searchParams.get('begun'), 'begun')
    return new Response(await request.text())
  },

  /** Answers without looking at the body. */
  '/ignore': () => new Response('ignored'),

  '/async': async (_request, { searchParams }) => {
    await awaited[searchParams.get('by')](searchParams.get('url'))
    return new Response('awaited')
  },

  '/throw': () => {
    throw new Error('thrown by the handler')
  },
  '/reject': async () => {
    throw new Error('rejected by the handler')
  },
  '/not-a-response': () => 'a string',

  /** Writes `first`, waits for the gate, writes `last`. */
  '/stream': (_request, { searchParams }) => {
    const encoder = new TextEncoder()
    const stages = [() => 'first', () => opened(searchParams.get('gate')).then(() => 'last')]
    return new Response(
      new ReadableStream({
        async pull(controller) {
          const stage = stages.shift()
          if (stage === undefined) controller.close()
          else controller.enqueue(encoder.encode(await stage()))
        },
      }),
    )
  },

  /** A stream without an end; creates the file `begun` when it is cancelled. */
  '/endless': (_request, { searchParams }) =>
    new Response(
      new ReadableStream({
        async pull(controller) {
          await sleep(5)
          controller.enqueue(new Uint8Array(10))
        },
        cancel() {
          appendFileSync(searchParams.get('begun'), 'cancelled')
        },
      }),
    ),

  /** 16 MB in chunks of 64 KB, made as they are asked for. */
  '/long-stream': () => {
    let left = 256
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (left-- > 0) controller.enqueue(big.subarray(0, 65_536))
          else controller.close()
        },
      }),
    )
  },

  /** A stream that fails after its first chunk. */
  '/broken-stream': () => {
    const chunks = ['first']
    return new Response(
      new ReadableStream({
        pull(controller) {
          const chunk = chunks.shift()
          if (chunk === undefined) throw new Error('thrown by the stream')
          controller.enqueue(new TextEncoder().encode(chunk))
        },
      }),
    )
  },

  /** `bytes` of a pattern, 10 MB of it unless told. */
  '/big': (_request, { searchParams }) =>
    new Response(big.subarray(0, Number(searchParams.get('bytes') ?? big.length))),

  '/slow': async (_request, { searchParams }) => {
    await sleep(Number(searchParams.get('ms')))
    return new Response('slow')
  },

  /** Creates the file `begun`, and answers when `gate` is there. */
  '/gate': async (_request, { searchParams }) => {
    appendFileSync(searchParams.get('begun'), 'begun')
    await opened(searchParams.get('gate'))
    return new Response('opened')
  },

  /** Creates the file `begun`, and blocks its thread until `gate` is there. */
  '/block': (_request, { searchParams }) => {
    appendFileSync(searchParams.get('begun'), 'begun')
    while (isShut(searchParams.get('gate'))) Atomics.wait(cell, 0, 0, 5)
    return new Response('opened')
  },

  /** Answers at once, and creates the file `begun` a little later. */
  '/later': (_request, { searchParams }) => {
    setTimeout(() => appendFileSync(searchParams.get('begun'), 'begun'), 30)
    return new Response('later')
  },

  /** Appends to a file what becomes of the request: `begun`, then `aborted` once its signal fires. */
  '/abort': async (request, { searchParams }) => {
    const file = searchParams.get('file')
    request.signal.addEventListener('abort', () => appendFileSync(file, ' aborted'))
    appendFileSync(file, 'begun')
    while (!request.signal.aborted) await sleep(20)
    return new Response('too late')
  },

  /** Who serves. */
  '/where': () => Response.json({ pid: process.pid, threadId }),

  /** The same after holding the thread for a while. */
  '/hold': (_request, { searchParams }) => {
    Atomics.wait(cell, 0, 0, Number(searchParams.get('ms')))
    return Response.json({ pid: process.pid, threadId })
  },

  '/exit': () => process.exit(3),

  '/throw-later': async () => {
    setTimeout(() => {
      throw new Error('thrown outside of any handler')
    })
    await sleep(60_000)
    return new Response('not reached')
  },
}

export default {
  fetch(request) {
    const url = new URL(request.url)
    const route = routes[url.pathname]
    return route === undefined ? new Response('no such route', { status: 404 }) : route(request, url)
  },
}
