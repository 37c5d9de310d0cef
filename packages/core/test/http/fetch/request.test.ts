import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import {
  abortRequest,
  LightHeaders,
  LightRequest,
  realHeaders,
  realRequest,
  requestFrom,
  toRealRequest,
} from '../../../dist/http/index.js'
import { arriving, incoming } from './incoming.js'
import { outcome, outcomeOf } from './outcome.js'

const RealHeaders = realHeaders()
const RealRequest = realRequest()

const HEAD = 'Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nX-A: 1\r\n\r\n'
const HEADERS = { host: 'localhost', 'content-type': 'application/x-www-form-urlencoded', 'x-a': '1' }
const readers = ['text', 'json', 'arrayBuffer', 'bytes', 'blob', 'formData'] as const
const attributes = [
  ...(['cache', 'credentials', 'destination', 'duplex', 'integrity', 'keepalive', 'mode', 'redirect'] as const),
  ...(['referrer', 'referrerPolicy', 'method', 'url', 'bodyUsed'] as const),
]

function light(method: string, body: string | null = null, late = false): Request {
  return requestFrom(incoming(method, HEAD, body === null ? null : arriving(body, late)).source)
}

function real(method: string, body: string | null = null): Request {
  return new RealRequest('http://localhost/a?b=1', { method, headers: HEADERS, body, duplex: 'half' })
}

async function plain(value: unknown): Promise<unknown> {
  if (value instanceof Blob) return { type: value.type, text: await value.text() }
  if (value instanceof FormData) return [...value]
  return value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value
}

function visible(request: Request): unknown {
  return [attributes.map((key) => [key, request[key]]), [...request.headers], request.body === null]
}

describe('an incoming request', () => {
  it.each(['GET', 'POST'])('looks like a real %s', (method) => {
    expect(visible(light(method))).toEqual(visible(real(method)))
  })

  it('asks the machine only when the app asks, and once', () => {
    const { source, calls } = incoming('POST', HEAD, arriving('a'))
    const request = requestFrom(source)
    expect([request.method, request.bodyUsed, request.mode, calls]).toEqual([
      ...['POST', false, 'cors', { url: 0, headers: 0, onSignal: 0 }],
    ])
    for (let i = 0; i < 2; i++) expect([request.url, request.headers, request.signal]).toBeDefined()
    expect(calls).toEqual({ url: 1, headers: 1, onSignal: 1 })
  })

  it.each(readers)('reads by %s as a real one, once', async (reader) => {
    for (const text of [null, '', '{"a":1}', 'a=1&b=2', '\ufeffx']) {
      const read = async (request: Request) => {
        const first = await outcomeOf(async () => plain(await request[reader as 'text']()))
        const second = await outcomeOf(async () => plain(await request[reader as 'text']()))
        return {
          first,
          second,
          used: request.bodyUsed,
          locked: request.body?.locked,
          clone: outcome(() => !request.clone()),
        }
      }
      const expected = await read(real('POST', text))
      expect(await read(light('POST', text))).toEqual(expected)
      expect(await read(light('POST', text, true))).toEqual(expected)
    }
  })

  it('copies bytes that the machine will use again', async () => {
    const shared = new TextEncoder().encode('abc')
    const source = { ...arriving(''), buffered: () => shared }
    const request = requestFrom(incoming('POST', HEAD, source).source)
    const bytes = request.arrayBuffer()
    shared.fill(0)
    expect(Buffer.from(await bytes).toString()).toBe('abc')
  })

  it('rejects when the client leaves before the body has arrived', async () => {
    const source = { ...arriving(''), buffered: () => Promise.reject(new Error('gone')) }
    await expect(requestFrom(incoming('POST', HEAD, source).source).text()).rejects.toThrow('gone')
  })

  it('reads through its stream, then no more', async () => {
    const request = light('POST', 'abc')
    expect(request.body).toBe(request.body)
    expect(request.bodyUsed).toBe(false)
    expect(await request.text()).toBe('abc')
    expect(request.bodyUsed).toBe(true)
    await expect(request.text()).rejects.toThrow(TypeError)
    const locked = light('POST', 'abc')
    locked.body!.getReader()
    await expect(locked.text()).rejects.toThrow(TypeError)
    expect(() => locked.clone()).toThrow(TypeError)
    expect(locked.bodyUsed).toBe(false)
  })

  it('has no body in a GET or HEAD, whatever the machine has', async () => {
    for (const method of ['GET', 'HEAD']) {
      const request = light(method, 'abc')
      expect([request.body, await request.text(), request.bodyUsed]).toEqual([null, '', false])
    }
  })

  it('can be cloned twice, and all copies read', async () => {
    const request = light('POST', 'abc')
    const first = request.clone()
    const second = first.clone()
    second.headers.set('x-a', '2')
    expect([request.headers.get('x-a'), second.headers.get('x-a'), second.url]).toEqual(['1', '2', request.url])
    expect(await Promise.all([request.text(), first.text(), second.text()])).toEqual(['abc', 'abc', 'abc'])
    expect(light('GET').clone().body).toBe(null)
    expect(light('TRACE').clone().method).toBe('TRACE')
  })

  it('aborts its signal, asked for before or after, and those of its copies', () => {
    const before = light('GET')
    const copy = before.clone()
    const seen: unknown[] = []
    before.signal.addEventListener('abort', () => seen.push('before'))
    copy.signal.addEventListener('abort', () => seen.push('copy'))
    abortRequest(before, 'left')
    abortRequest(before, 'again')
    expect([seen, before.signal.reason, copy.signal.reason]).toEqual([['before', 'copy'], 'left', 'left'].map((x) => x))
    const after = light('GET')
    abortRequest(after)
    expect([after.signal.aborted, (after.signal.reason as Error).name]).toEqual([true, 'AbortError'])
    expect(after.clone().signal.aborted).toBe(true)
    expect(light('GET').signal.aborted).toBe(false)
  })

  it('prints as a request, without its inner state', () => {
    const text = inspect(light('GET'))
    expect(text).toMatch(/^Request \{\n {2}method: 'GET'/)
    expect(text).not.toMatch(/incoming|source/)
    expect(Object.keys(light('GET'))).toEqual([])
  })

  it('answers what only the real class has', () => {
    const request = light('POST', 'a') as Request & { isReloadNavigation: boolean }
    expect(request.isReloadNavigation).toBe(false)
    for (const [key, member] of Object.entries(
      Object.getOwnPropertyDescriptors(RealRequest.prototype) as Record<string, PropertyDescriptor>,
    )) {
      if (member.get === undefined && typeof member.value !== 'function') continue
      const own = Object.getOwnPropertyDescriptor(LightRequest.prototype, key)
      expect([key, own?.enumerable, typeof own?.get]).toEqual([key, member.enumerable, typeof member.get])
    }
  })
})

describe('a request made by an app', () => {
  const inputs: Record<string, [unknown, unknown?]> = {
    text: ['http://localhost/a b'],
    url: [new URL('http://localhost/')],
    'a relative url': ['/a'],
    'real request': [real('GET')],
    post: ['http://localhost/', { method: 'post', body: 'abc', headers: { a: '1' } }],
    'get with a body': ['http://localhost/', { body: 'abc' }],
    'a bad method': ['http://localhost/', { method: 'a b' }],
    'a forbidden method': ['http://localhost/', { method: 'TRACE' }],
    'light headers': [
      'http://localhost/',
      {
        headers: new LightHeaders([
          ['set-cookie', 'a'],
          ['set-cookie', 'b'],
        ]),
      },
    ],
    'real headers': ['http://localhost/', { headers: new RealHeaders({ a: '1' }) }],
    attributes: ['http://localhost/', { cache: 'no-store', redirect: 'manual', keepalive: true, credentials: 'omit' }],
  }
  it.each(Object.keys(inputs))('from %s is as the real one', (key) => {
    const [input, init] = inputs[key]!
    const [first, second] = [RealRequest, LightRequest].map((Class) => {
      return outcome(() => visible(new (Class as typeof Request)(input as never, init as never)))
    })
    expect(second).toEqual(first)
  })

  it('reads, clones and prints as the real one', async () => {
    const make = () => new LightRequest('http://localhost/', { method: 'POST', body: '{"a":1}' })
    expect(await make().json()).toEqual({ a: 1 })
    expect(await make().clone().text()).toBe('{"a":1}')
    expect(Buffer.from(await make().bytes()).toString()).toBe('{"a":1}')
    expect((await make().blob()).size).toBe(7)
    expect((await make().arrayBuffer()).byteLength).toBe(7)
    await expect(make().formData()).rejects.toThrow(TypeError)
    expect(make().clone()).toBeInstanceOf(LightRequest)
    expect(inspect(make())).toMatch(/^Request \{\n {2}method: 'POST'/)
  })

  it('follows its own signal', () => {
    const controller = new AbortController()
    const request = new LightRequest('http://localhost/', { signal: controller.signal })
    abortRequest(request)
    expect(request.signal.aborted).toBe(false)
    controller.abort()
    expect([request.signal.aborted, request.clone().signal.aborted]).toEqual([true, true])
  })

  it('takes over the body of an incoming one', async () => {
    const request = light('POST', 'abc')
    const made = new LightRequest(request, { headers: { b: '2' } })
    expect([request.bodyUsed, made.method, [...made.headers]]).toEqual([true, 'POST', [['b', '2']]])
    expect(await made.text()).toBe('abc')
    expect(() => new LightRequest(request)).toThrow(TypeError)
    expect(await new LightRequest(request, { body: 'new' }).text()).toBe('new')
    expect(() => new LightRequest(light('POST', 'abc'), { method: 'GET' })).toThrow(TypeError)
  })

  it('may take an incoming one for its init', async () => {
    const made = new LightRequest('http://localhost/other', light('POST', 'abc'))
    expect([made.url, made.method, made.headers.get('x-a'), await made.text()]).toEqual([
      ...['http://localhost/other', 'POST', '1', 'abc'],
    ])
  })

  it('is aborted with the incoming one it was made of', () => {
    const request = light('GET')
    const made = new LightRequest(request)
    abortRequest(request, 'left')
    expect(made.signal.reason).toBe('left')
  })

  it('is an instance of the real class, and the real ones of its', () => {
    expect(light('GET')).toBeInstanceOf(RealRequest)
    expect(light('GET')).toBeInstanceOf(LightRequest)
    expect(real('GET')).toBeInstanceOf(LightRequest)
    class Mine extends LightRequest {
      override get method(): string {
        return 'MINE'
      }
    }
    const mine = new Mine(light('POST', 'abc'))
    expect([mine instanceof Mine, mine instanceof LightRequest, mine.method]).toEqual([true, true, 'MINE'])
    expect(light('GET') instanceof Mine).toBe(false)
    expect([LightRequest.name, LightRequest.length]).toEqual(['Request', RealRequest.length])
  })

  it('turns into the real one behind it', () => {
    expect(toRealRequest('http://a')).toBe('http://a')
    const request = real('GET')
    expect(toRealRequest(request)).toBe(request)
    expect((toRealRequest(light('POST')) as Request).headers.get('x-a')).toBe('1')
  })
})
