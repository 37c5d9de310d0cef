import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { entryOf, type ListEntry } from '@cs/cli'
import { models } from '@cs/registry'
import { describe, expect, it } from 'vitest'

const cs = (...args: string[]) =>
  spawnSync(process.execPath, [fileURLToPath(new URL('../bin/cs.js', import.meta.url)), ...args], { encoding: 'utf8' })

describe('an entry of the list', () => {
  it.each(models.map((model) => [model.name, model] as const))(
    '%s says what it is, where it comes from and what it takes',
    (name, model) => {
      const entry = entryOf(model)
      expect(entry).toMatchObject({
        name,
        package: `@cs/${model.family}`,
        family: model.family,
        takesFunction: model.takesFunction,
      })
      expect(name).toMatch(/^[a-z]+(-[a-z0-9]+)*$/)
      expect(entry.summary).toMatch(/^\S.*[^.]$/)
      expect(entry.runs).toBe(entry.reason === undefined)
      for (const option of entry.options)
        expect(option).toMatchObject({
          name: expect.any(String),
          type: expect.any(String),
          description: expect.any(String),
        })
      expect(entry.options.map((option) => (option as { name: string }).name)).toEqual(
        expect.arrayContaining(['backlog', 'drainTimeout']),
      )
    },
  )

  it('gives the reason where a model does not run', () => {
    const model = { ...models[0]!, missing: () => 'it is too old here' }
    expect(entryOf(model)).toMatchObject({ runs: false, reason: 'it is too old here' })
  })
})

describe('cs list', () => {
  it('prints all entries as JSON', () => {
    const { status, stdout } = cs('list', '--json')
    expect(status).toBe(0)
    expect(JSON.parse(stdout) as ListEntry[]).toEqual(JSON.parse(JSON.stringify(models.map(entryOf))))
  })

  it('prints a line a model for people', () => {
    const { status, stdout } = cs('list')
    expect(status).toBe(0)
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split(' ')[0]),
    ).toEqual(models.map(({ name }) => name))
  })

  it('refuses what it does not know, on one line of standard error', () => {
    expect(cs('list', '--jsn')).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'cs: there is no flag --jsn; there are: --json\n',
    })
  })
})
