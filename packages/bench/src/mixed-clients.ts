/**
 * The thread of the mixed load:
 *
 *   poll(2), until the next request is due ─▶ send on a connection that is idle ─▶ recv what answers ─▶ latency ↺
 *
 * Its sockets are the core's, since it measures milliseconds beside a server that may have all processors: it allocates next to
 * nothing, and asks the scheduler for slices so short that it runs when an answer comes, not when whoever burns has had its own.
 */
import { lookup } from 'node:dns/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { PollDemultiplexer, READABLE } from '@cs/core'
import {
  close,
  connect,
  PosixError,
  recv,
  type SocketAddress,
  send,
  setNoDelay,
  setSlice,
  socket,
} from '@cs/core/posix'
import type { Mix, MixedOutcome, MixedTask } from './mixed-load.js'

const CHEAP = requestFor('/')
const EXPENSIVE = requestFor('/burn')

/** The same times of arrival for every server. */
const SEED = 1

const SLICE_US = 100

/** Milliseconds after which the thread looks whether it is to stop. */
const LOOK_MS = 100

interface Arrival {
  readonly at: number
  readonly isCheap: boolean
}

class Clients {
  readonly cheapMs: number[] = []
  requests = 0
  errors = 0
  readonly #demux = new PollDemultiplexer()
  readonly #idle: number[] = []
  /** What waits for a connection that is idle. */
  readonly #waiting: Arrival[] = []
  /** What each of the others has been asked, and its answer so far. */
  readonly #asked = new Map<number, Arrival>()
  readonly #answers = new Map<number, string>()
  readonly #bytes = Buffer.alloc(16_384)

  /** Opens so many connections. @throws PosixError; {@link close} closes those that are open by then */
  connect(address: SocketAddress, count: number): void {
    for (let i = 0; i < count; i++) {
      const fd = socket(address.family)
      this.#idle.push(fd)
      const result = connect(fd, address)
      if (result < 0) throw new PosixError('connect', result, address)
      setNoDelay(fd, true)
      this.#demux.add(fd, READABLE)
    }
  }

  /** Whether nothing is outstanding that can still be answered. */
  get areDone(): boolean {
    return this.#asked.size === 0 && (this.#waiting.length === 0 || this.#idle.length === 0)
  }

  ask(arrival: Arrival): void {
    this.#waiting.push(arrival)
    this.#askNext()
  }

  /** Takes what comes within so many milliseconds. */
  listen(milliseconds: number): void {
    const ready = this.#demux.wait(milliseconds)
    for (let i = 0; i < ready; i++) this.#take(this.#demux.fd(i))
  }

  close(): void {
    for (const fd of [...this.#idle, ...this.#asked.keys()]) close(fd)
    this.#demux.close()
  }

  #askNext(): void {
    if (this.#waiting.length === 0 || this.#idle.length === 0) return
    const fd = this.#idle.pop() as number
    const arrival = this.#waiting.shift() as Arrival
    const request = arrival.isCheap ? CHEAP : EXPENSIVE
    this.#asked.set(fd, arrival)
    if (send(fd, request, 0, request.length) !== request.length) this.#drop(fd)
  }

  #take(fd: number): void {
    const n = recv(fd, this.#bytes, 0, this.#bytes.length)
    const arrival = this.#asked.get(fd)
    if (n <= 0 || arrival === undefined) return this.#drop(fd)
    const answer = (this.#answers.get(fd) ?? '') + this.#bytes.latin1Slice(0, n)
    if (!isWhole(answer)) return void this.#answers.set(fd, answer)
    if (arrival.isCheap) this.cheapMs.push(performance.now() - arrival.at)
    this.requests++
    this.#forget(fd)
    this.#idle.push(fd)
    this.#askNext()
  }

  #drop(fd: number): void {
    this.errors++
    this.#forget(fd)
    this.#demux.remove(fd)
    if (this.#idle.includes(fd)) this.#idle.splice(this.#idle.indexOf(fd), 1)
    close(fd)
  }

  #forget(fd: number): void {
    this.#asked.delete(fd)
    this.#answers.delete(fd)
  }
}

async function run({ url, connections, seconds, stop, ...mix }: MixedTask): Promise<MixedOutcome> {
  const address = await addressOf(url)
  const clients = new Clients()
  try {
    clients.connect(address, connections)
    setSlice(SLICE_US)
    const begin = performance.now()
    sendUntil(clients, begin + seconds * 1000, mix, stop)
    const { requests, errors, cheapMs } = clients
    return { requests, errors, cheapMs, seconds: (performance.now() - begin) / 1000 }
  } finally {
    clients.close()
  }
}

/** Sends requests as they arrive until the time is over, and waits for the last answers. */
function sendUntil(clients: Clients, end: number, { rate, every }: Mix, stop: Int32Array): void {
  const random = randomFrom(SEED)
  const gap = (): number => (-Math.log(1 - random()) / rate) * 1000 // between arrivals of a Poisson process
  let due = performance.now() + gap()
  for (let sent = 1; Atomics.load(stop, 0) === 0; ) {
    const now = performance.now()
    for (; due <= now && due < end; due += gap()) clients.ask({ at: now, isCheap: sent++ % every !== 0 })
    if (due >= end && clients.areDone) break
    clients.listen(due < end ? Math.min(LOOK_MS, Math.ceil(due - now)) : LOOK_MS)
  }
}

async function addressOf(url: string): Promise<SocketAddress> {
  const { hostname, port } = new URL(url)
  const { address: host, family } = await lookup(hostname.replace(/^\[(.*)\]$/, '$1'))
  return { family: family === 6 ? 'ipv6' : 'ipv4', host, port: Number(port) }
}

function requestFor(path: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
}

/** The answers of the bench's apps have a short body of known length. */
function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n')
  if (head < 0) return false
  return answer.length >= head + 4 + Number(/content-length: *(\d+)/i.exec(answer)?.[1] ?? 0)
}

/** Numbers from 0 to 1, the same for the same seed (a linear congruential generator, Numerical Recipes §7.1). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

parentPort?.postMessage(await run(workerData as MixedTask))
