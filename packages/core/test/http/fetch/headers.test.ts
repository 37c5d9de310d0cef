import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LightHeaders, raw, realHeaders, realRequest, realResponse } from '../../../dist/http/index.js'
import { outcome } from './outcome.js'

const RealHeaders = realHeaders()
const RealRequest = realRequest()
const RealResponse = realResponse()

const both = [RealHeaders, LightHeaders] as const
const name = fc.constantFrom(
  'a',
  'A',
  'b',
  'x-long',
  'X-Long',
  'set-cookie',
  'Set-Cookie',
  'cookie',
  '',
  'a b',
  'é',
  '\u0100',
)
const value = fc.oneof(
  fc.constantFrom('', ' ', '1', ' 2\t', '\r\n3 ', 'a\nb', 'a\0b', 'é', '\u0100', 'x\x01y'),
  fc.string(),
)
const operation = fc.oneof(
  fc.tuple(fc.constantFrom('append', 'append', 'set'), name, value),
  fc.tuple(fc.constantFrom('delete', 'get', 'has'), name),
)

type Methods = Record<string, (...args: string[]) => unknown>

function run(headers: Headers, operations: readonly (readonly string[])[]) {
  const results = operations.map(([method, ...args]) =>
    outcome(() => (headers as unknown as Methods)[method!]!(...args)),
  )
  return { results, entries: [...headers], cookies: headers.getSetCookie() }
}

describe('light headers', () => {
  it('answer any sequence of operations as the real ones do', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
        expect(run(new LightHeaders(), operations)).toEqual(run(new RealHeaders(), operations))
      }),
      { numRuns: 1000 },
    )
  })

  const inits: Record<string, unknown> = {
    nothing: undefined,
    null: null,
    number: 5,
    string: 'a: b',
    record: { B: '2', a: ' 1 ' },
    'record with a number': { a: 1 },
    'record with undefined': { a: undefined },
    'record with a symbol': { [Symbol('a')]: '1' },
    'record with an array': { a: ['1', '2'] },
    pairs: [
      ['a', '1'],
      ['A', '2'],
      ['set-cookie', 'x'],
      ['set-cookie', 'y'],
    ],
    'a single': [['a']],
    'a triple': [['a', 'b', 'c']],
    'strings for pairs': ['ab'],
    map: new Map([['a', '1']]),
    'real headers': new RealHeaders([
      ['a', '1'],
      ['set-cookie', 'x'],
      ['set-cookie', 'y'],
    ]),
    'light headers': new LightHeaders([
      ['a', '1'],
      ['set-cookie', 'x'],
      ['set-cookie', 'y'],
    ]),
    'a bad name': { 'a b': '1' },
    'a bad value': { a: '1\r\nb: 2' },
    'a symbol as value': { a: Symbol('x') },
  }
  it.each(Object.keys(inits))('are made from %s as the real ones are', (key) => {
    const [real, light] = both.map((Class) => outcome(() => [...new Class(inits[key] as never)]))
    expect(light).toEqual(real)
  })

  it('refuse calls with too few arguments, and a wrong receiver', () => {
    for (const Class of both) {
      const headers = new Class() as unknown as Methods
      for (const method of ['get', 'has', 'delete']) expect(() => headers[method]!()).toThrow(TypeError)
      for (const method of ['append', 'set']) expect(() => headers[method]!('a')).toThrow(TypeError)
      expect(() => headers.forEach!('x')).toThrow(TypeError)
      expect(() => Class.prototype.entries.call({} as never)).toThrow(TypeError)
    }
  })

  it('show changes made during an iteration', () => {
    const [real, light] = both.map((Class) => {
      const headers = new Class({ a: '1', c: '3' })
      const seen: string[] = []
      for (const [key] of headers) {
        if (seen.length === 0) headers.set('d', '4')
        if (key === 'c') headers.delete('a')
        seen.push(key)
      }
      return seen
    })
    expect(light).toEqual(real)
  })

  it('have iterators like the real ones', () => {
    const headers = new LightHeaders({ b: '2', a: '1' })
    expect([...headers.keys()]).toEqual(['a', 'b'])
    expect([...headers.values()]).toEqual(['1', '2'])
    expect(Object.prototype.toString.call(headers.entries())).toBe('[object Headers Iterator]')
    const seen: unknown[] = []
    headers.forEach(function (this: unknown, ...args) {
      seen.push([this, ...args])
    }, 7)
    expect(seen).toEqual([
      [7, '1', 'a', headers],
      [7, '2', 'b', headers],
    ])
  })

  it('are instances of the real class, and the real ones of theirs', () => {
    expect(new LightHeaders()).toBeInstanceOf(RealHeaders)
    expect(new RealHeaders()).toBeInstanceOf(LightHeaders)
    class Mine extends LightHeaders {}
    expect(new Mine()).toBeInstanceOf(Mine)
    expect(new LightHeaders() instanceof Mine).toBe(false)
    expect(Object.prototype.toString.call(new LightHeaders())).toBe('[object Headers]')
    expect(LightHeaders.name).toBe('Headers')
  })

  it('are accepted by the platform', () => {
    const light = new LightHeaders([
      ['a', '1'],
      ['set-cookie', 'x'],
      ['set-cookie', 'y'],
    ])
    const entries = [...light]
    expect([...new RealHeaders(light)]).toEqual(entries)
    expect([...new RealResponse('', { headers: light }).headers].filter(([key]) => key !== 'content-type')).toEqual(
      entries,
    )
    expect([...new RealRequest('http://a/', { headers: light }).headers]).toEqual(entries)
  })

  it('print as headers, without their inner state', () => {
    expect(inspect(new LightHeaders({ a: '1' }))).toBe(inspect(new RealHeaders({ a: '1' })))
  })

  it('come from the wire without a copy', () => {
    const flat = ['host', 'a', 'set-cookie', 'x', 'set-cookie', 'y']
    const headers = LightHeaders.fromWire(flat)
    expect(raw(headers)).toBe(flat)
    expect(headers.get('Set-Cookie')).toBe('x, y')
  })

  it('parse a header section when asked', () => {
    const head = 'GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nCookie: a=1\r\ncookie:\t b=2 \r\nX: a:b\r\n\r\nbody: x\r\n'
    const headers = LightHeaders.fromHead(head, head.indexOf('\r\n') + 2)
    expect(raw(headers)).toEqual(['host', 'a', 'x-empty', '', 'cookie', 'a=1', 'cookie', 'b=2', 'x', 'a:b'])
    expect(headers.get('COOKIE')).toBe('a=1; b=2')
    expect([...LightHeaders.fromHead('\r\n', 0)]).toEqual([])
  })

  it('flatten real headers with each cookie apart', () => {
    const real = new RealHeaders([
      ['set-cookie', 'x, 1'],
      ['A', '1'],
      ['a', '2'],
      ['set-cookie', 'y'],
    ])
    expect(raw(real)).toEqual(['a', '1, 2', 'set-cookie', 'x, 1', 'set-cookie', 'y'])
  })
})
