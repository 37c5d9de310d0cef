/** Runs the contract: every case against a model, and against its variants. */

import { models } from '@cs/registry'
import { afterAll, beforeAll, describe, type TestContext, test } from 'vitest'
import { exceptions } from '../exceptions.js'
import { impatiently } from '../support/deadline.js'
import { startServer, type TestServer } from '../support/server.js'
import { type Variant, variants } from '../variants.js'
import { type Case, type Exception, HASTY, type Subject, startForTest } from './case.js'
import { clients } from './clients.js'
import { failures } from './failures.js'
import { listening } from './listening.js'
import { requests } from './requests.js'
import { stopping } from './stopping.js'

export const groups: Readonly<Record<string, readonly Case[]>> = { listening, requests, clients, stopping, failures }

/** How long an excepted case may wait for what is not going to come. */
const EXCEPTED_MS = 1000

/** Defines the tests of one model; a file each, so that several models are tested at a time. */
export function expectContract(model: string): void {
  const subjects = [{ model, set: {} }, ...variants.filter((each) => each.model === model)]
  describe.each(subjects.map((subject) => [titleOf(subject), subject] as const))('%s', (_, subject) => {
    expectCases(subject)
  })
}

function expectCases({ model, set }: Variant): void {
  const missing = models.find(({ name }) => name === model)!.missing()
  let server: TestServer | undefined
  let hasty: Promise<TestServer> | undefined

  beforeAll(async () => {
    if (missing === undefined) server = await startServer(model, { set })
  })

  afterAll(() => server?.finish())
  afterAll(async () => (await hasty)?.finish())

  for (const [group, cases] of Object.entries(groups)) {
    describe(group, () => {
      for (const each of cases) {
        test(each.title, async (context) => {
          if (missing !== undefined) return context.skip(missing)
          const subject: Subject = {
            model,
            server: server!,
            hasty: () => {
              hasty ??= startServer(model, { set: { ...set, ...HASTY } })
              return hasty
            },
            start: (options) => startForTest(model, { ...options, set: { ...set, ...options?.set } }),
          }
          const exception = exceptions[model]?.find((one) => one.cases.includes(each.title))
          if (exception === undefined) await each.run(subject, context)
          else await expectFailure(each, subject, context, exception)
        })
      }
    })
  }
}

function titleOf({ model, set }: Variant): string {
  return [model, ...Object.entries(set).map(([name, value]) => `${name}=${value}`)].join(' ')
}

/** Tries an excepted case: it is skipped if it fails indeed, and fails if it passes. */
async function expectFailure(each: Case, subject: Subject, context: TestContext, { reason }: Exception): Promise<void> {
  const passes = await impatiently(EXCEPTED_MS, () => each.run(subject, context)).then(
    () => true,
    () => false,
  )
  if (passes) throw new Error(`it passes, so it needs no exception (${reason})`)
  context.skip(reason)
}
