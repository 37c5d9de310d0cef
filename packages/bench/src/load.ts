/** The load: wrk where it is installed, which costs the least CPU itself, or autocannon, which needs nothing. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** What to send, to whom, for how long. */
export interface Load {
  readonly url: string
  readonly connections: number
  readonly seconds: number
  /** One connection for each request, by `Connection: close`. */
  readonly close: boolean
}

/** What came back. */
export interface LoadResult {
  /** Responses of any status. */
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Failed connects, reads and writes, timeouts, and responses that are not 2xx or 3xx. */
  readonly errors: number
}

/** The program that makes the load. */
export interface Loader {
  readonly name: 'wrk' | 'autocannon' | 'mixed'
  run(load: Load, signal: AbortSignal): Promise<LoadResult>
}

/** The loader of that name, or wrk where it is installed and autocannon where it is not. */
export function findLoader(name?: string): Loader {
  if (name !== undefined && name !== 'wrk' && name !== 'autocannon') throw new Error(`no such load: ${name}`)
  const folders = (process.env.PATH ?? '').split(delimiter)
  const hasWrk = folders.some((folder) => existsSync(join(folder, 'wrk')))
  if (name === 'wrk' && !hasWrk) throw new Error('wrk is not installed; use --load autocannon')
  return name === 'autocannon' || !hasWrk ? { name: 'autocannon', run: runAutocannon } : { name: 'wrk', run: runWrk }
}

// wrk -----------------------------------------------------------------------------------------------------------------

async function runWrk({ url, connections, seconds, close }: Load, signal: AbortSignal): Promise<LoadResult> {
  const header = close ? ['--header', 'Connection: close'] : []
  const flags = [
    '--threads',
    '1',
    '--connections',
    `${connections}`,
    '--duration',
    `${seconds}s`,
    '--latency',
    ...header,
  ]
  const { stdout } = await promisify(execFile)('wrk', [...flags, url], { signal })
  return parseWrk(stdout)
}

/** Reads what `wrk --latency` prints. */
export function parseWrk(text: string): LoadResult {
  const total = /(\d+) requests in ([\d.]+\w+)/.exec(text)
  const half = /^\s*50%\s+([\d.]+\w+)/m.exec(text)
  const most = /^\s*99%\s+([\d.]+\w+)/m.exec(text)
  if (!total || !half || !most) throw new Error(`this is not what wrk --latency prints:\n${text}`)
  const socket = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)
  const status = /Non-2xx or 3xx responses: (\d+)/.exec(text)
  return {
    requests: Number(total[1]),
    seconds: milliseconds(total[2] as string) / 1000,
    p50Ms: milliseconds(half[1] as string),
    p99Ms: milliseconds(most[1] as string),
    errors: sumOf(socket) + sumOf(status),
  }
}

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

function milliseconds(text: string): number {
  const [, amount, unit = ''] = /^([\d.]+)(\w+)$/.exec(text) ?? []
  return Number(amount) * (UNITS[unit] ?? Number.NaN)
}

function sumOf(match: RegExpExecArray | null): number {
  return (match ?? []).slice(1).reduce((sum, count) => sum + Number(count), 0)
}

// autocannon ----------------------------------------------------------------------------------------------------------

/** The part of autocannon 9 that is used here; it has no types of its own. */
interface AutocannonClient {
  conn: unknown
  _doRequest(): void
}

interface AutocannonResult {
  readonly duration: number
  readonly errors: number
  readonly non2xx: number
  readonly requests: { readonly total: number }
  readonly latency: { readonly p50: number; readonly p99: number }
}

type Autocannon = (
  options: Readonly<Record<string, unknown>>,
  done: (error: Error | null, result: AutocannonResult) => void,
) => { stop(): void }

function runAutocannon({ url, connections, seconds, close }: Load, signal: AbortSignal): Promise<LoadResult> {
  const autocannon = createRequire(import.meta.url)('autocannon') as Autocannon
  const closing = { headers: { Connection: 'close' }, setupClient: sendOncePerConnection }
  const options = { url, connections, duration: seconds, pipelining: 1, ...(close ? closing : {}) }
  return new Promise((resolve, reject) => {
    const run = autocannon(options, (error, result) => {
      signal.removeEventListener('abort', stop)
      if (error) reject(error)
      else if (signal.aborted) reject(signal.reason)
      else resolve(fromAutocannon(result))
    })
    const stop = (): void => run.stop()
    signal.addEventListener('abort', stop)
  })
}

/** Unasked, autocannon sends the next request on the connection that is being closed, and counts its time from there. */
function sendOncePerConnection(client: AutocannonClient): void {
  const send = client._doRequest
  let used: unknown
  client._doRequest = () => {
    if (client.conn === used) return
    used = client.conn
    send.call(client)
  }
}

function fromAutocannon({ duration, errors, non2xx, requests, latency }: AutocannonResult): LoadResult {
  const times = { p50Ms: latency.p50, p99Ms: latency.p99 }
  return { requests: requests.total, seconds: duration, ...times, errors: errors + non2xx }
}
