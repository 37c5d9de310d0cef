/** The contract: one set of cases, run against every model of the registry. */

import { models } from '@cs/registry'
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest'
import { type Case, type Exception, type Subject, startForTest } from './contract/case.js'
import { clients } from './contract/clients.js'
import { failures } from './contract/failures.js'
import { listening } from './contract/listening.js'
import { requests } from './contract/requests.js'
import { stopping } from './contract/stopping.js'
import { exceptions } from './exceptions.js'
import { impatiently } from './support/deadline.js'
import { startServer, type TestServer } from './support/server.js'
import { type Variant, variants } from './variants.js'

const groups: Readonly<Record<string, readonly Case[]>> = { listening, requests, clients, stopping, failures }
const contract = Object.values(groups).flat()

/** How long an excepted case may wait for what is not going to come. */
const EXCEPTED_MS = 1000

test('has a title of its own for each case', () => {
  const titles = contract.map(({ title }) => title)
  expect(titles).toEqual([...new Set(titles)])
})

test('has exceptions only of known models, from known cases, each with a reason', () => {
  for (const [model, list] of Object.entries(exceptions)) {
    expect(models.map(({ name }) => name)).toContain(model)
    for (const { reason, cases } of list) {
      expect(reason).toMatch(/\w+ \w+/)
      for (const title of cases) expect(contract.map((each) => each.title)).toContain(title)
    }
  }
})

test('has variants only of known models', () => {
  for (const { model } of variants) expect(models.map(({ name }) => name)).toContain(model)
})

const subjects: readonly Variant[] = models.flatMap(({ name }) => [
  { model: name, set: {} },
  ...variants.filter(({ model }) => model === name),
])

describe.each(subjects.map((subject) => [titleOf(subject), subject] as const))('%s', (_, { model, set }) => {
  const missing = models.find(({ name }) => name === model)!.missing()
  let server: TestServer | undefined

  beforeAll(async () => {
    if (missing === undefined) server = await startServer(model, { set })
  })

  afterAll(() => server?.finish())

  for (const [group, cases] of Object.entries(groups)) {
    describe(group, () => {
      for (const each of cases) {
        test(each.title, async (context) => {
          if (missing !== undefined) return context.skip(missing)
          const subject: Subject = {
            model,
            server: server!,
            start: (options) => startForTest(model, { ...options, set: { ...set, ...options?.set } }),
          }
          const exception = exceptions[model]?.find((one) => one.cases.includes(each.title))
          if (exception === undefined) await each.run(subject, context)
          else await expectFailure(each, subject, context, exception)
        })
      }
    })
  }
})

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
