/**
 * Notices what blocks an event loop, and where. It runs on the loop's own thread, so it speaks when the loop goes on: it times
 * each call of the handler, and what runs between two of them or between two waits. The stacks are real: while the code ran,
 * V8's profiler interrupted the thread again and again (SIGPROF) and noted what was being executed. What is told is the stack
 * that was met most often. A callback that never returns is never told of.
 */

import type { Session } from 'node:inspector'
import type { FetchApp } from '@cs/core'

/** Milliseconds between two reports with a stack: to read the samples, and to begin anew, takes the loop some 10 of them. */
const STACK_EVERY_MS = 1000

/** Milliseconds after which samples are thrown away, so that they do not fill memory. */
const RENEW_EVERY_MS = 300_000

/** What the profiler calls a thread that waits for events. */
const IDLE = '(idle)'

/** The thread is interrupted so often within the bound. */
const SAMPLES = 10

/** Owner thread only. */
export class Watchdog {
  readonly #bound: number
  readonly #log: (message: string) => void
  readonly #sampler: Sampler | undefined
  /** When the piece of work began that is under way, on the clock of performance.now(). */
  #since = performance.now()
  #sampledAt = Number.NEGATIVE_INFINITY

  private constructor(bound: number, log: (message: string) => void, sampler: Sampler | undefined) {
    this.#bound = bound
    this.#log = log
    this.#sampler = sampler
  }

  /** Watches the calling thread for work that takes longer than `bound` ms; without stacks where this Node has no inspector. */
  static async start(bound: number, log: (message: string) => void): Promise<Watchdog> {
    const sampler = process.features.inspector ? await Sampler.start((1000 * bound) / SAMPLES) : undefined
    return new Watchdog(bound, log, sampler)
  }

  /** Times an app, each call by itself. */
  around(app: FetchApp): FetchApp {
    return {
      fetch: (request) => {
        this.#ends()
        try {
          return app.fetch(request)
        } finally {
          this.#ends(request)
        }
      },
    }
  }

  /** Says that the loop begins to work. */
  wakes(): void {
    this.#since = performance.now()
  }

  /** Says that the loop has nothing more to do now, and will wait. */
  rests(): void {
    this.#ends()
    if (this.#sampler !== undefined && this.#since - this.#sampler.startedAt > RENEW_EVERY_MS) this.#sampler.renew()
  }

  close(): void {
    this.#sampler?.close()
  }

  /** Says that a piece of work is over: a call of the handler, or what ran since the last, or since the loop awoke. */
  #ends(request?: Request): void {
    const now = performance.now()
    const took = now - this.#since
    this.#since = now
    if (took <= this.#bound) return
    const stack = this.#stackOf(took, now)
    if (request !== undefined) this.#tell(`${request.method} ${request.url}`, took, stack)
    // Without a stack nobody could tell which; and Node's own loop, which had its turn, may have been waiting.
    else if (stack.length > 0 && !stack[0].startsWith(IDLE)) this.#tell('a callback', took, stack)
    this.#since = performance.now()
  }

  #tell(what: string, took: number, stack: readonly string[]): void {
    const where = stack.length === 0 ? '' : `, most often here:\n${stack.map((frame) => `    at ${frame}`).join('\n')}`
    this.#log(`${what} blocked the loop for ${Math.round(took)} ms${where}`)
  }

  #stackOf(took: number, now: number): readonly string[] {
    if (this.#sampler === undefined || now - this.#sampledAt < STACK_EVERY_MS) return []
    this.#sampledAt = now
    return this.#sampler.stackOf(took)
  }
}

interface Frame {
  readonly id: number
  readonly callFrame: {
    readonly functionName: string
    readonly url: string
    readonly lineNumber: number
    readonly columnNumber: number
  }
  readonly children?: readonly number[]
}

interface Profile {
  readonly nodes: readonly Frame[]
  /** In microseconds of a monotonic clock, that of process.hrtime. */
  readonly startTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** V8's sampling profiler on the calling thread. */
class Sampler {
  startedAt = 0
  readonly #session: Session

  private constructor(session: Session) {
    this.#session = session
  }

  static async start(intervalMicroseconds: number): Promise<Sampler> {
    const inspector = await import('node:inspector')
    const session = new inspector.Session()
    session.connect()
    const sampler = new Sampler(session)
    sampler.#post('Profiler.enable')
    sampler.#post('Profiler.setSamplingInterval', { interval: Math.round(intervalMicroseconds) })
    sampler.#begin()
    return sampler
  }

  /** The stack that was met most often in the last so many ms, innermost first; empty where none was. Begins anew. */
  stackOf(ms: number): string[] {
    const now = Number(process.hrtime.bigint() / 1000n)
    const { profile } = this.#post('Profiler.stop') as { profile: Profile }
    this.#begin()
    return heaviest(profile, now - 1000 * ms, now)
  }

  renew(): void {
    this.#post('Profiler.stop')
    this.#begin()
  }

  close(): void {
    this.#session.disconnect()
  }

  #begin(): void {
    this.#post('Profiler.start')
    this.startedAt = performance.now()
  }

  /** Messages to the own thread are answered before `post` returns. */
  #post(method: string, params: object = {}): unknown {
    let answer: unknown
    this.#session.post(method, params, (error, result) => {
      if (error !== null) throw error
      answer = result
    })
    return answer
  }
}

/** Follows the tree of calls from its root to where most of the samples between two times lie. */
function heaviest({ nodes, startTime, samples, timeDeltas }: Profile, from: number, to: number): string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const weights = new Map<number, number>()
  let at = startTime
  for (const [index, id] of samples.entries()) {
    at += timeDeltas[index]
    if (at >= from && at <= to) weights.set(id, (weights.get(id) ?? 0) + 1)
  }
  // A node comes before its children: from behind, each adds to its parent what is below it.
  for (const node of [...nodes].reverse()) {
    const below = (node.children ?? []).reduce((sum, id) => sum + (weights.get(id) ?? 0), 0)
    weights.set(node.id, (weights.get(node.id) ?? 0) + below)
  }
  const stack: string[] = []
  const weightOf = (id: number): number => weights.get(id) ?? 0
  for (let node: Frame | undefined = nodes[0]; node !== undefined && weightOf(node.id) > 0; ) {
    stack.unshift(describe(node))
    const children: readonly number[] = node.children ?? []
    const next = children.reduce((best, id) => (weightOf(id) > weightOf(best) ? id : best), children[0] ?? -1)
    node = weightOf(next) > 0 ? byId.get(next) : undefined
  }
  return stack.slice(0, -1) // without the root
}

function describe({ callFrame: { functionName, url, lineNumber, columnNumber } }: Frame): string {
  const place = url === '' ? 'native' : `${url}:${lineNumber + 1}:${columnNumber + 1}`
  return `${functionName === '' ? '<anonymous>' : functionName} (${place})`
}
