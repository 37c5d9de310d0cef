import { describe, expect, it } from 'vitest'
import { settingsFrom } from '../dist/settings.js'
import { refuseUnknown } from '../dist/strict.js'

describe('settings', () => {
  it.each([
    [[], {}],
    [['serve', 'epoll', '8080'], {}],
    [['--set', 'threads=2'], { threads: '2' }],
    [['--set=threads=2'], { threads: '2' }],
    [['--set', 'a=1', '--app', './x.mjs', '--set=b=2'], { a: '1', b: '2' }],
    [['--set', 'a=1', '--set', 'a=2'], { a: '2' }],
    [['--set', 'a=b=c'], { a: 'b=c' }],
    [['--set', 'a='], { a: '' }],
    [['--set', 'a=two\nlines'], { a: 'two\nlines' }],
    [['--settings=a=1'], {}],
  ])('are read from a command line: %j', (args, settings) => {
    expect(settingsFrom(args)).toEqual(settings)
  })

  it.each([['--set'], ['--set', 'threads'], ['--set=threads'], ['--set', '=2'], ['--set', '2=2'], ['--set=']])(
    'must be name=value: %j',
    (...args) => {
      expect(() => settingsFrom(args)).toThrow(/^--set takes name=value, not '/)
    },
  )
})

describe('refuseUnknown', () => {
  const known = { model: { type: 'positional' }, port: { type: 'positional' }, app: { type: 'string' } }

  it('takes what is known', () => {
    expect(() => refuseUnknown({ _: ['epoll', '80'], model: 'epoll', app: './x' }, known)).not.toThrow()
  })

  it('refuses a mistyped flag and names those there are', () => {
    expect(() => refuseUnknown({ _: [], ap: './x' }, known)).toThrow('there is no flag --ap; there are: --app')
  })

  it('refuses an argument too many', () => {
    expect(() => refuseUnknown({ _: ['epoll', '80', 'more'] }, known)).toThrow("'more' is one argument too many")
  })
})
