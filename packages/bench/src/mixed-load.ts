/**
 * A load of cheap and expensive requests, that tells the latency of the cheap ones. Requests come at random times, whether or not
 * the server keeps up, and each counts from the moment when it was to be sent: a load that waits for answers would be kept from
 * sending by the very requests that make others wait. wrk and autocannon do that, and tell one latency for all.
 */
import { once, setMaxListeners } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { setSlice } from '@cs/core/posix'
import type { Load, Loader, LoadResult } from './load.js'

/** Requests a second: what the expensive ones among them burn is a tenth of a processor, and two at once are rare. */
export const RATE = 200
const EVERY = 10

/** Microseconds: the load is to be woken when an answer comes, not when whoever burns has used up a slice. */
const SLICE_US = 100

/** The same times of arrival for every server. */
const SEED = 1

/** What is outstanding and what has come of it. */
interface Tally {
  readonly waiting: Arrival[]
  readonly idle: Socket[]
  readonly cheapMs: number[]
  requests: number
  errors: number
}

interface Arrival {
  readonly at: number
  readonly isCheap: boolean
}

export const mixedLoader: Loader = { name: 'mixed', run }

async function run({ url, connections, seconds }: Load, signal: AbortSignal): Promise<LoadResult> {
  const { hostname: host, port } = new URL(url)
  const sockets = Array.from({ length: connections }, () => connect({ port: Number(port), host, noDelay: true }))
  const tally: Tally = { waiting: [], idle: [], cheapMs: [], requests: 0, errors: 0 }
  const begin = performance.now()
  setMaxListeners(0, signal) // each socket waits with it
  setSlice(SLICE_US)
  try {
    await Promise.all(sockets.map((socket) => once(socket, 'connect', { signal })))
    tally.idle.push(...sockets)
    for (const socket of sockets) socket.on('error', () => tally.errors++)
    await send(performance.now() + seconds * 1000, tally, signal)
    while (tally.idle.length < connections - tally.errors) await sleep(1, undefined, { signal }) // the last answers
  } finally {
    setSlice(0)
    for (const socket of sockets) socket.destroy()
  }
  const sorted = tally.cheapMs.toSorted((a, b) => a - b)
  const { requests, errors } = tally
  const times = { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) }
  return { requests, errors, seconds: (performance.now() - begin) / 1000, ...times }
}

/** Sends requests as they arrive, each on a connection that is idle, or on the first that is. */
async function send(end: number, tally: Tally, signal: AbortSignal): Promise<void> {
  const random = randomFrom(SEED)
  let due = performance.now()
  for (let sent = 1; due < end; sent++) {
    due += (-Math.log(1 - random()) / RATE) * 1000 // the gaps between arrivals of a Poisson process
    const pause = due - performance.now()
    if (pause >= 1) await sleep(pause, undefined, { signal })
    tally.waiting.push({ at: performance.now(), isCheap: sent % EVERY !== 0 })
    const socket = tally.idle.pop()
    if (socket !== undefined) void serveWaiting(socket, tally)
  }
}

async function serveWaiting(socket: Socket, tally: Tally): Promise<void> {
  for (let arrival = tally.waiting.shift(); arrival !== undefined; arrival = tally.waiting.shift()) {
    try {
      await exchange(socket, arrival.isCheap ? '/' : '/burn')
    } catch {
      return // counted where the socket fails
    }
    if (arrival.isCheap) tally.cheapMs.push(performance.now() - arrival.at)
    tally.requests++
  }
  tally.idle.push(socket)
}

async function exchange(socket: Socket, path: string): Promise<void> {
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  for (let answer = ''; !isWhole(answer); ) answer += String((await once(socket, 'data'))[0])
}

/** The answers of the bench's apps have a short body of known length. */
function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n')
  if (head < 0) return false
  return answer.length >= head + 4 + Number(/content-length: *(\d+)/i.exec(answer)?.[1] ?? 0)
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

/** Numbers from 0 to 1, the same for the same seed (a linear congruential generator, Numerical Recipes §7.1). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
