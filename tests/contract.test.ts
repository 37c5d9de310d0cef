/** The contract itself: what must hold of its cases, its exceptions and its variants. Its runs are in tests/models. */

import { readFileSync } from 'node:fs'
import { models } from '@cs/registry'
import { expect, test } from 'vitest'
import { groups } from './contract/suite.js'
import { exceptions } from './exceptions.js'
import { variants } from './variants.js'

const contract = Object.values(groups).flat()

test('has a title of its own for each case', () => {
  const titles = contract.map(({ title }) => title)
  expect(titles).toEqual([...new Set(titles)])
})

test('is run against every model', () => {
  for (const { name } of models)
    expect(readFileSync(new URL(`models/${name}.test.ts`, import.meta.url), 'utf8')).toContain(
      `expectContract('${name}')`,
    )
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
