import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import {
  bodySizeOf,
  flatHeadersOf,
  isResponse,
  LightHeaders,
  LightResponse,
  realHeaders,
  realResponse,
  statusOf,
  statusTextOf,
  takeBody,
} from '../../../dist/http/index.js'
import { outcome, outcomeOf } from './outcome.js'

const RealHeaders = realHeaders()
const RealResponse = realResponse()

type Make = (Class: typeof Response) => Response

const both = [RealResponse, LightResponse as unknown as typeof Response]

function streamOf(...chunks: string[]): ReadableStream {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk))
      controller.close()
    },
  })
}

function form(): FormData {
  const data = new FormData()
  data.set('a', '1')
  return data
}

async function* chunks() {
  yield new TextEncoder().encode('{"a":')
  yield new TextEncoder().encode('1}')
}

const bodies: Record<string, () => unknown> = {
  nothing: () => undefined,
  null: () => null,
  'empty text': () => '',
  text: () => '{"a":1}',
  'text with a mark': () => '\ufeff{"a":1}',
  'text with a lone surrogate': () => 'a\ud800b',
  number: () => 5,
  boolean: () => false,
  symbol: () => Symbol('a'),
  object: () => ({ toString: () => 'object' }),
  bytes: () => new TextEncoder().encode('{"a":1}'),
  'invalid utf-8': () => new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0xff]),
  'a buffer': () => Buffer.from('{"a":1}'),
  'an array buffer': () => new TextEncoder().encode('[1]').buffer,
  'a view': () => new DataView(new TextEncoder().encode('x[1]x').buffer, 1, 3),
  'wide elements': () => new Uint16Array([0x6161, 0x6262]),
  blob: () => new Blob(['{"a":1}'], { type: 'application/json' }),
  'blob without a type': () => new Blob(['a']),
  parameters: () => new URLSearchParams({ a: '1', b: 'é' }),
  stream: () => streamOf('{"a":', '1}'),
  'an empty stream': () => streamOf(),
  'an async iterable': () => chunks(),
}

const inits: Record<string, unknown> = {
  nothing: undefined,
  null: null,
  empty: {},
  number: 5,
  created: { status: 201, statusText: 'Créated' },
  'no content': { status: 204 },
  'text as status': { status: '404' },
  'a fraction': { status: 200.7 },
  'a status of 65736': { status: 65736 },
  'status 0': { status: 0 },
  'status null': { status: null },
  'status 199': { status: 199 },
  'status 600': { status: 600 },
  'status NaN': { status: Number.NaN },
  'a symbol as status': { status: Symbol('a') },
  'a line end in statusText': { statusText: 'a\nb' },
  'wide statusText': { statusText: '\u0100' },
  'statusText undefined': { statusText: undefined },
  'a content type': { headers: { 'Content-Type': 'text/html' } },
  'other headers': { headers: { 'x-a': '1' } },
  pairs: {
    headers: [
      ['set-cookie', 'a'],
      ['set-cookie', 'b'],
    ],
  },
  'real headers': { headers: new RealHeaders({ a: '1' }) },
  'light headers': { headers: new LightHeaders({ a: '1' }) },
  'a bad header': { headers: { a: '\n1\n2' } },
  'headers null': { headers: null },
}

const readers = ['text', 'json', 'arrayBuffer', 'bytes', 'blob', 'formData'] as const

async function plain(value: unknown): Promise<unknown> {
  if (value instanceof Blob) return { type: value.type, text: await value.text() }
  if (value instanceof FormData) return [...value]
  return value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value
}

function visible(response: Response): unknown {
  const { status, statusText, ok, type, url, redirected, bodyUsed } = response
  return { status, statusText, ok, type, url, redirected, bodyUsed, headers: [...response.headers] }
}

describe.each(Object.keys(bodies))('a response made of %s', (kind) => {
  it.each(Object.keys(inits))('and %s looks and throws as the real one', (init) => {
    const made = both.map((Class) => outcome(() => visible(new Class(bodies[kind]!() as never, inits[init] as never))))
    expect(made[1]).toEqual(made[0])
  })

  it.each(readers)('reads by %s as the real one, once', async (reader) => {
    const results = both.map((Class) =>
      outcomeOf(async () => {
        const response = new Class(bodies[kind]!() as never)
        if (typeof response[reader as 'text'] !== 'function') return null
        const first = await outcomeOf(async () => plain(await response[reader as 'text']()))
        const second = await outcomeOf(async () => plain(await response[reader as 'text']()))
        const locked = response.body?.locked
        return { first, second, used: response.bodyUsed, locked, clone: outcome(() => response.clone().status) }
      }),
    )
    expect(await results[1]).toEqual(await results[0])
  })

  it('reads through its stream, then no more', async () => {
    const results = both.map((Class) =>
      outcomeOf(async () => {
        const response = new Class(bodies[kind]!() as never)
        const parts: Uint8Array[] = []
        const untouched = response.bodyUsed
        for await (const part of response.body ?? []) parts.push(part as Uint8Array)
        const again = await outcomeOf(() => response.text())
        return { text: Buffer.concat(parts).toString(), untouched, used: response.bodyUsed, again }
      }),
    )
    expect(await results[1]).toEqual(await results[0])
  })

  it('can be cloned, and both copies read', async () => {
    const results = both.map((Class) =>
      outcomeOf(async () => {
        const response = new Class(bodies[kind]!() as never, { headers: { a: '1' } })
        const copy = response.clone()
        copy.headers.set('a', '2')
        return { headers: [...response.headers, ...copy.headers], texts: [await response.text(), await copy.text()] }
      }),
    )
    expect(await results[1]).toEqual(await results[0])
  })
})

describe('a light response', () => {
  it('carries a form', async () => {
    const response = new LightResponse(form())
    expect(response.headers.get('content-type')).toMatch(/^multipart\/form-data; boundary=/)
    expect([...(await response.formData())]).toEqual([['a', '1']])
  })

  it('reads a form of its own content type, and a blob of the type set last', async () => {
    const response = new LightResponse('a=1&b=2', { headers: { 'content-type': 'application/x-www-form-urlencoded' } })
    expect([...(await response.formData())]).toEqual([
      ['a', '1'],
      ['b', '2'],
    ])
    const blob = new LightResponse('x')
    blob.headers.set('content-type', 'Text/HTML; charset=x')
    expect((await blob.blob()).type).toBe('text/html;charset=x')
  })

  it('has the static members of the real one', async () => {
    const made: Record<string, Make> = {
      error: (Class) => Class.error(),
      redirect: (Class) => Class.redirect('http://a/é b', undefined as never),
      'redirect 301': (Class) => Class.redirect(new URL('http://a/b'), 301),
      'redirect to nowhere': (Class) => Class.redirect('nowhere', undefined as never),
      'redirect 200': (Class) => Class.redirect('http://a', 200 as never),
      json: (Class) => Class.json({ a: 1 }),
      'json with type': (Class) => Class.json([1], { status: 201, headers: { 'content-type': 'application/x+json' } }),
      'json of nothing': (Class) => Class.json(undefined),
      'json without body': (Class) => Class.json(1, { status: 204 }),
    }
    for (const [title, make] of Object.entries(made)) {
      const [real, light] = both.map((Class) => outcome(() => visible(make(Class))))
      expect(light, title).toEqual(real)
    }
    expect(await LightResponse.json({ a: 1 }).text()).toBe('{"a":1}')
    expect(() => LightResponse.error().headers.set('a', '1')).toThrow(TypeError)
    expect(() => LightResponse.redirect('http://a').clone().headers.append('a', '1')).toThrow(TypeError)
  })

  it('refuses a stream in use', async () => {
    const read = streamOf('a')
    await new RealResponse(read).text()
    const locked = streamOf('a')
    locked.getReader()
    for (const stream of [read, locked]) expect(() => new LightResponse(stream)).toThrow(TypeError)
    const response = new LightResponse('a')
    response.body!.getReader()
    await expect(response.text()).rejects.toThrow(TypeError)
    expect(() => response.clone()).toThrow(TypeError)
    expect(() => takeBody(response)).toThrow(TypeError)
  })

  it('does not see later changes of the bytes it was made of', async () => {
    const bytes = new TextEncoder().encode('abc')
    const response = new LightResponse(bytes)
    bytes[0] = 120
    const read = new Uint8Array(await response.clone().arrayBuffer())
    read[1] = 120
    expect(await response.text()).toBe('abc')
  })

  it('is an instance of the real class, and the real ones of its', () => {
    expect(new LightResponse()).toBeInstanceOf(RealResponse)
    expect(new RealResponse()).toBeInstanceOf(LightResponse)
    class Mine extends LightResponse {
      override get ok(): boolean {
        return false
      }
    }
    const mine = new Mine('a', { status: 201 })
    expect(mine).toBeInstanceOf(Mine)
    expect(mine).toBeInstanceOf(LightResponse)
    expect(mine.ok).toBe(false)
    expect(new LightResponse() instanceof Mine).toBe(false)
    expect(new RealResponse() instanceof Mine).toBe(false)
    expect([statusOf(mine), takeBody(mine)]).toEqual([201, 'a'])
  })

  it('has the members of the real class, as enumerable as there', () => {
    for (const [key, member] of Object.entries(
      Object.getOwnPropertyDescriptors(RealResponse.prototype) as Record<string, PropertyDescriptor>,
    )) {
      const light = Object.getOwnPropertyDescriptor(LightResponse.prototype, key)
      expect([key, light?.enumerable, typeof light?.get]).toEqual([key, member.enumerable, typeof member.get])
    }
    expect(Object.keys(LightResponse).sort()).toEqual(Object.keys(RealResponse).sort())
    expect([LightResponse.name, LightResponse.length]).toEqual(['Response', 0])
  })

  it('prints as the real one, without its inner state', () => {
    expect(inspect(new LightResponse('a'))).toBe(inspect(new RealResponse('a')))
    expect(Object.keys(new LightResponse('a'))).toEqual([])
  })

  it('can be made of a real one', async () => {
    const real = new RealResponse('abc', { status: 201, headers: { a: '1' } })
    const response = new LightResponse(real.body as never, real)
    expect([response.status, response.headers.get('a'), await response.text()]).toEqual([201, '1', 'abc'])
  })
})

describe('the accessors', () => {
  it('give status, text, headers, size and body without conversion', () => {
    const response = new LightResponse('é', { status: 201, statusText: 'Made', headers: { 'X-A': '1' } })
    expect([statusOf(response), statusTextOf(response), bodySizeOf(response)]).toEqual([201, 'Made', 2])
    expect(flatHeadersOf(response)).toEqual(['x-a', '1', 'content-type', 'text/plain;charset=UTF-8'])
    expect(takeBody(response)).toBe('é')
    expect(response.bodyUsed).toBe(true)
  })

  it('share the header array of plain text until the app touches the headers', () => {
    expect(flatHeadersOf(new LightResponse('a'))).toBe(flatHeadersOf(new LightResponse('b')))
    const response = new LightResponse('a')
    response.headers.append('set-cookie', 'a')
    response.headers.append('set-cookie', 'b')
    expect(flatHeadersOf(response).slice(2)).toEqual(['set-cookie', 'a', 'set-cookie', 'b'])
    expect(flatHeadersOf(new LightResponse('b'))).toHaveLength(2)
  })

  it.each(Object.keys(bodies).filter((key) => key !== 'symbol'))('take %s once', async (kind) => {
    const body = () => bodies[kind]!() as never
    const response = new LightResponse(body())
    const size = bodySizeOf(response)
    const taken = takeBody(response)
    const bytes = Buffer.from(await new RealResponse(taken).arrayBuffer())
    expect(bytes).toEqual(Buffer.from(await new RealResponse(body()).arrayBuffer()))
    if (size !== undefined) expect(size).toBe(bytes.length)
    if (taken === null) return
    expect(() => takeBody(response)).toThrow(TypeError)
    await expect(response.text()).rejects.toThrow(TypeError)
    expect(response.bodyUsed).toBe(true)
  })

  it('take the body of a response whose stream was looked at', async () => {
    const response = new LightResponse('abc')
    expect(response.body).toBe(response.body)
    expect(await new RealResponse(takeBody(response)).text()).toBe('abc')
  })

  it('tell a response from anything else', () => {
    class Mine extends LightResponse {}
    for (const value of [new LightResponse(), new RealResponse(), new Mine()]) expect(isResponse(value)).toBe(true)
    for (const value of [undefined, null, 'text', 5, {}, Promise.resolve()]) expect(isResponse(value)).toBe(false)
  })

  it('accept a real response', async () => {
    const real = new RealResponse('abc', {
      status: 404,
      statusText: 'No',
      headers: [
        ['set-cookie', 'a'],
        ['set-cookie', 'b'],
      ],
    })
    expect([statusOf(real), statusTextOf(real), bodySizeOf(real)]).toEqual([404, 'No', undefined])
    expect(flatHeadersOf(real).filter((_, i) => i % 2 === 0)).toEqual(['content-type', 'set-cookie', 'set-cookie'])
    expect(await new RealResponse(takeBody(real)).text()).toBe('abc')
    expect(() => takeBody(real)).toThrow(TypeError)
    expect(takeBody(new RealResponse())).toBe(null)
  })
})
