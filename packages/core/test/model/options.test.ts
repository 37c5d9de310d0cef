import { COMMON_OPTIONS, checkOptions, choice, flag, integer, milliseconds, OptionError } from '@cs/core/model'
import { describe, expect, it } from 'vitest'

const SPECS = {
  threads: integer('threads that run handlers', { default: 2, min: 1, max: 8 }),
  edge: flag('edge-triggered', { default: false }),
  backend: choice('how it waits', { default: 'epoll', choices: ['epoll', 'poll'] as const }),
  patience: milliseconds('time to wait', { default: 100 }),
}

const check = (given: object) => checkOptions(SPECS as never, given as Record<string, unknown>, 'a-model')

describe('checkOptions', () => {
  it('fills in defaults, for undefined too', () => {
    expect(check({ threads: undefined })).toEqual({ threads: 2, edge: false, backend: 'epoll', patience: 100 })
  })

  it('takes values, and the same as words of a command line', () => {
    const expected = { threads: 8, edge: true, backend: 'poll', patience: 0 }
    expect(check({ threads: 8, edge: true, backend: 'poll', patience: 0 })).toEqual(expected)
    expect(check({ threads: '8', edge: 'true', backend: 'poll', patience: '0' })).toEqual(expected)
    expect(check({ edge: 'false' })).toMatchObject({ edge: false })
  })

  it.each([
    [{ threads: 0 }, "option 'threads' cannot be 0: it takes a whole number from 1 to 8 (threads that run handlers)"],
    [{ threads: 9 }, "option 'threads' cannot be 9: it takes a whole number from 1 to 8 (threads that run handlers)"],
    [
      { threads: 1.5 },
      "option 'threads' cannot be 1.5: it takes a whole number from 1 to 8 (threads that run handlers)",
    ],
    [
      { threads: Number.NaN },
      "option 'threads' cannot be NaN: it takes a whole number from 1 to 8 (threads that run handlers)",
    ],
    [
      { threads: 'two' },
      "option 'threads' cannot be 'two': it takes a whole number from 1 to 8 (threads that run handlers)",
    ],
    [{ threads: '' }, "option 'threads' cannot be '': it takes a whole number from 1 to 8 (threads that run handlers)"],
    [
      { threads: '1e0' },
      "option 'threads' cannot be '1e0': it takes a whole number from 1 to 8 (threads that run handlers)",
    ],
    [
      { threads: null },
      "option 'threads' cannot be null: it takes a whole number from 1 to 8 (threads that run handlers)",
    ],
    [{ edge: 'yes' }, "option 'edge' cannot be 'yes': it takes true or false (edge-triggered)"],
    [{ edge: 1 }, "option 'edge' cannot be 1: it takes true or false (edge-triggered)"],
    [{ backend: 'kqueue' }, "option 'backend' cannot be 'kqueue': it takes epoll or poll (how it waits)"],
    [
      { patience: -1 },
      "option 'patience' cannot be -1: it takes a whole number from 0 to 86400000 (time to wait, in ms; 0: no limit)",
    ],
    [{ thread: 2 }, "a-model has no option 'thread'; it has: threads, edge, backend, patience"],
    [{ constructor: 2 }, "a-model has no option 'constructor'; it has: threads, edge, backend, patience"],
  ])('names option, value and what is allowed: %j', (given, message) => {
    expect(() => check(given)).toThrow(new OptionError(message))
  })

  it('throws errors with a code', () => {
    expect(() => check({ threads: 0 })).toThrow(expect.objectContaining({ code: 'ERR_CS_OPTION', name: 'OptionError' }))
  })
})

describe('the common options', () => {
  it('have defaults that they themselves allow, and descriptions', () => {
    const checked = checkOptions(COMMON_OPTIONS, {}, 'a-model')
    expect(checkOptions(COMMON_OPTIONS, { ...checked }, 'a-model')).toEqual(checked)
    for (const spec of Object.values(COMMON_OPTIONS)) expect(spec.description).toMatch(/^\w.*[^.]$/)
  })
})
