/** What the tests of the process pools have in common. */

import { expect } from 'vitest'
import { type Client, connect } from './client.js'
import { eventually } from './deadline.js'
import { childrenOf, type Thread, threadsOf } from './proc.js'
import type { TestServer } from './server.js'

/** The pids of the workers. */
export function workersOf(server: TestServer): number[] {
  return childrenOf(server.pid)
    .filter(({ state }) => state !== 'Z')
    .map(({ pid }) => pid)
    .sort((a, b) => a - b)
}

export function mainThreadOf(pid: number): Thread | undefined {
  return threadsOf(pid).find(({ tid }) => tid === pid)
}

/** Waits until so many workers are there, all blocked in accept(2); returns their pids. */
export async function idleWorkers(server: TestServer, count: number): Promise<number[]> {
  return eventually(`${count} workers wait in accept`, () => {
    const pids = workersOf(server)
    const areIdle = pids.every((pid) => /^accept4?$/.test(mainThreadOf(pid)?.syscall ?? ''))
    return pids.length === count && areIdle ? pids : undefined
  })
}

/** Asks on a connection of its own who serves. */
export async function whoServes(server: TestServer): Promise<number> {
  const client = await connect(server)
  const reply = await client.ask('/where', { headers: { connection: 'close' } })
  client.destroy()
  return JSON.parse(reply.body.toString()).pid
}

/** Clients that ask without end, each request on a connection of its own, and count what they do not get answered. */
export class Crowd {
  answered = 0
  readonly failures: string[] = []
  readonly #server: TestServer
  readonly #runs: Promise<void>[]
  #isOver = false

  constructor(server: TestServer, size: number) {
    this.#server = server
    this.#runs = Array.from({ length: size }, () => this.#run())
  }

  /** Waits until so many more requests are answered. */
  async served(count: number): Promise<void> {
    const goal = this.answered + count
    await eventually(`${count} requests are answered`, () => this.answered >= goal || this.failures.length > 100)
  }

  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#runs)
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      let client: Client | undefined
      try {
        client = await connect(this.#server)
        const { status } = await client.ask('/where', { headers: { connection: 'close' } })
        expect(status).toBe(200)
        this.answered++
      } catch (error) {
        this.failures.push((error as Error).message)
      }
      client?.destroy()
    }
  }
}
