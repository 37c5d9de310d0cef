/** The cs command where it serves nothing: what it lists, and what it refuses. */

import { models } from '@cs/registry'
import { describe, expect, test } from 'vitest'
import { runCs, startServer } from './support/server.js'

interface Entry {
  readonly name: string
  readonly package: string
  readonly family: string
  readonly needs: readonly string[]
  readonly runs: boolean
  readonly reason?: string
  readonly options: readonly { readonly name: string; readonly type: string; readonly default: unknown }[]
}

async function listed(): Promise<Entry[]> {
  const { code, stdout, stderr } = await runCs(['list', '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Entry[]
}

describe('cs list', () => {
  test('has a line for every model', async () => {
    const { code, stdout } = await runCs(['list'])
    expect(code).toBe(0)
    const names = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ')[0])
    expect(names).toEqual(models.map(({ name }) => name))
  })

  test('gives as JSON what every model is, with its options', async () => {
    const entries = await listed()
    expect(entries.map(({ name }) => name)).toEqual(models.map(({ name }) => name))
    for (const entry of entries) {
      expect(entry).toMatchObject({ package: `@cs/${entry.family}`, runs: expect.any(Boolean) })
      expect(entry.reason === undefined).toBe(entry.runs)
      expect(entry.options.map(({ name }) => name)).toContain('drainTimeout')
    }
  })

  test('tells the truth: what it says runs, starts with every option at the default that it tells', async () => {
    for (const { name, options } of (await listed()).filter(({ runs }) => runs)) {
      const set = Object.fromEntries(options.map((option) => [option.name, String(option.default)]))
      const server = await startServer(name, { set })
      await server.finish()
    }
  })
})

describe('cs serve', () => {
  test('takes a model name with underscores', async () => {
    const server = await startServer('thread_pool')
    expect(server.line).toContain('(thread-pool, pid')
    await server.finish()
  })

  for (const [what, words, says] of [
    ['an unknown model', ['serve', 'nonsense', '0'], /there is no model 'nonsense'.*epoll/],
    ['a port that is none', ['serve', 'epoll', '70000x'], /port.*70000x/],
    ['a port too high', ['serve', 'epoll', '65536'], /port.*65536/],
    ['a setting without a value', ['serve', 'epoll', '0', '--set', 'drainTimeout'], /name=value/],
    ['a host that is none', ['serve', 'epoll', '0', '--host', 'no.such.host.invalid'], /no\.such\.host\.invalid/],
  ] as const) {
    test(`refuses ${what} with one line`, async () => {
      const { code, stdout, stderr } = await runCs(words)
      expect(stderr).toMatch(/^cs: [^\n]+\n$/)
      expect(stderr).toMatch(says)
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    })
  }
})
