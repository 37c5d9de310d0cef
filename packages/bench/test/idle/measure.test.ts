import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { measureIdle } from '../../dist/idle/measure.js'
import type { Load, Loader } from '../../dist/load.js'
import { modelServer, nodeHttpServer, type ServerSpec } from '../../dist/servers.js'

const onLinux = process.platform === 'linux'
const ESTABLISHED = '01'

/** How many connections to a port of 127.0.0.1 are established, as the kernel sees it. */
function establishedTo(url: string): number {
  const port = Number(new URL(url).port).toString(16).toUpperCase().padStart(4, '0')
  const lines = readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1)
  const states = lines.map((line) => line.trim().split(/\s+/)).filter((fields) => fields[2]?.endsWith(`:${port}`))
  return states.filter((fields) => fields[3] === ESTABLISHED).length
}

/** Instead of a load it looks how many connections there are. */
class Observer implements Loader {
  readonly name = 'wrk'
  readonly seen: number[] = []
  readonly #urls = new Set<string>()

  async run({
    url,
    seconds,
  }: Load): Promise<{ requests: number; seconds: number; p50Ms: number; p99Ms: number; errors: number }> {
    this.seen.push(establishedTo(url))
    this.#urls.add(url)
    return { requests: 100, seconds, p50Ms: 1, p99Ms: 2, errors: 0 }
  }

  left(): number {
    return [...this.#urls].reduce((sum, url) => sum + establishedTo(url), 0)
  }
}

function measure(
  servers: readonly ServerSpec[],
  loader: Loader,
  idle: readonly number[],
): ReturnType<typeof measureIdle> {
  const { signal } = new AbortController()
  return measureIdle({ servers, idle, loader, connections: 4, rounds: 1, seconds: 1, signal, progress: () => {} })
}

describe('the measurement of idle connections', () => {
  it.for([nodeHttpServer, modelServer('epoll')])('holds as many open as it says, on $name', async (spec, context) => {
    context.skip(!onLinux, 'there is no /proc here')
    const observer = new Observer()
    const { measurements, memory, failures } = await measure([spec], observer, [0, 20, 100])
    expect(failures).toEqual([])
    expect(observer.seen).toEqual([0, 0, 20, 20, 100, 100, 0, 100]) // warm-up and load at each count, then the memory
    expect(measurements.map((each) => each.idle)).toEqual([0, 20, 100])
    expect(memory).toMatchObject([{ server: spec.name, round: 1, idle: 100 }])
    expect(observer.left()).toBe(0)
  })

  it('leaves out what a server cannot hold', async (context) => {
    context.skip(!onLinux, 'there is no /proc here')
    const spec = { ...nodeHttpServer, bound: { connections: 14, reason: 'it is small' } }
    const { measurements, gaps } = await measure([spec], new Observer(), [0, 10, 11])
    expect(measurements.map((each) => each.idle)).toEqual([0, 10])
    expect(gaps).toEqual([{ server: 'node:http', idle: 11, reason: 'it is small' }])
  })

  it('goes on when a server fails', async (context) => {
    context.skip(!onLinux, 'there is no /proc here')
    const failing = { name: 'failing', command: ['-e', 'process.exit(3)'] }
    const { measurements, failures } = await measure([failing, nodeHttpServer], new Observer(), [5])
    expect(failures).toMatchObject([{ server: 'failing', round: 1 }])
    expect(measurements).toHaveLength(1)
  })
})
