/** What a case of the contract is, and what it is given. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, type TestContext } from 'vitest'
import { type ServerOptions, startServer, type TestServer } from '../support/server.js'

/** A behaviour that every model must have. */
export interface Case {
  /** Lower case, present tense; unique in the contract. */
  readonly title: string
  readonly run: (subject: Subject, context: TestContext) => Promise<void>
}

/** Cases that a model cannot fulfil by its nature. */
export interface Exception {
  readonly reason: string
  readonly cases: readonly string[]
}

/** The model under test. */
export interface Subject {
  readonly model: string
  /** Serves tests/apps/app.mjs with default options for all cases of the model; a case may neither stop nor harm it. */
  readonly server: TestServer
  /** The same, for the cases that wait for a timeout: with timeouts as short as {@link HASTY}. */
  hasty(): Promise<TestServer>
  /** Starts a server for this case alone, which must stop in order, with nothing left, at the case's end. */
  start(options?: ServerOptions): Promise<TestServer>
}

/** The timeouts of {@link Subject.hasty}, in milliseconds. */
export const HASTY = { headTimeout: 300, bodyTimeout: 300, idleTimeout: 300, writeTimeout: 300 } as const

/** Collects the cases of a file. */
export function collect(): { readonly cases: Case[]; readonly it: (title: string, run: Case['run']) => void } {
  const cases: Case[] = []
  return { cases, it: (title, run) => void cases.push({ title, run }) }
}

/** Starts a server that is stopped at the end of the test. */
export async function startForTest(model: string, options?: ServerOptions): Promise<TestServer> {
  const server = await startServer(model, options)
  onTestFinished(() => server.finish())
  return server
}

/** A folder that is removed at the end of the test. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cs-contract-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A pair of files by which a test and a handler wait for each other; see /gate, /block and /stream of the app. */
export class Gate {
  readonly #folder = scratch()

  constructor() {
    onTestFinished(() => this.open()) // hooks run last first: before the folder goes, nothing waits any more
  }

  /** How many handlers have begun. */
  get begunCount(): number {
    return contentOf(this.begun).length / 'begun'.length
  }

  get begun(): string {
    return join(this.#folder, 'begun')
  }

  get gate(): string {
    return join(this.#folder, 'gate')
  }

  /** The query that names both files. */
  get query(): string {
    return `begun=${encodeURIComponent(this.begun)}&gate=${encodeURIComponent(this.gate)}`
  }

  open(): void {
    try {
      writeFileSync(this.gate, '')
    } catch {
      // the folder is gone, and whoever waited with it
    }
  }
}

/** What a file holds; nothing where there is none. */
export function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
