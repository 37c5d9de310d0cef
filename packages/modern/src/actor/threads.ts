/** The threads that a system has started. First node only. */

import { Worker } from 'node:worker_threads'
import type { Mesh } from './mesh.js'
import type { Control } from './remote.js'

/** The thread on which an actor lived has ended, and with it all actors that were on it. */
export class ThreadEndedError extends Error {
  readonly code = 'CS_THREAD_ENDED'
}

/** The system that has started the threads. */
export interface Above {
  tell(node: number, control: Control): void
  /** A thread has ended, and nobody wanted it to. */
  gone(node: number, error: unknown): void
}

/** What a thread is given. */
export interface ThreadData {
  readonly mesh: ReturnType<Mesh['share']>
  readonly node: number
  readonly budget: number
}

/** Milliseconds that a thread gets to end. */
const END_MS = 5000

export class Threads {
  readonly #mesh: Mesh
  readonly #above: Above
  readonly #budget: number
  readonly #workers = new Map<number, Worker>()
  /** Nodes whose actors have ended, and whose threads are about to. */
  readonly #released = new Set<number>()
  #isEnding = false
  #onEmpty: () => void = () => {}

  constructor(mesh: Mesh, budget: number, above: Above) {
    this.#mesh = mesh
    this.#budget = budget
    this.#above = above
  }

  get running(): Iterable<number> {
    return this.#workers.keys()
  }

  /** Starts the thread of a node, unless it runs. */
  start(node: number): void {
    if (this.#workers.has(node) || this.#isEnding) return
    const workerData: ThreadData = { mesh: this.#mesh.share(), node, budget: this.#budget }
    const worker = new Worker(new URL('./thread-main.js', import.meta.url), { workerData, name: `actors ${node}` })
    let cause: unknown
    worker.on('error', (error) => (cause = error))
    worker.on('exit', () => this.#ended(node, cause))
    this.#workers.set(node, worker)
  }

  /** Lets another actor have the thread of one that was pinned. */
  release(node: number): void {
    if (this.#workers.has(node)) this.#released.add(node)
    else this.#mesh.at(0).free(node)
  }

  /** Ends all threads, and waits until they have. */
  async end(): Promise<void> {
    this.#isEnding = true
    if (this.#workers.size === 0) return
    const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve))
    for (const node of this.#workers.keys()) this.#above.tell(node, { type: 'end' })
    const timer = setTimeout(() => {
      for (const worker of this.#workers.values()) void worker.terminate()
    }, END_MS)
    await empty
    clearTimeout(timer)
  }

  dispose(): void {
    this.#mesh.dispose()
  }

  #ended(node: number, cause: unknown): void {
    this.#workers.delete(node)
    if (this.#workers.size === 0) this.#onEmpty()
    if (this.#isEnding) return
    this.#above.gone(node, new ThreadEndedError(`thread ${node} of the actors has ended`, { cause }))
    if (this.#released.delete(node)) this.#mesh.at(0).free(node)
  }
}
