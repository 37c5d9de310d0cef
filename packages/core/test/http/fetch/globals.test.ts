import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  installFetchGlobals,
  LightHeaders,
  LightRequest,
  LightResponse,
  realFetch,
  realHeaders,
  realRequest,
  realResponse,
  requestFrom,
} from '../../../dist/http/index.js'
import { arriving, incoming } from './incoming.js'

const RealHeaders = realHeaders()
const RealRequest = realRequest()
const RealResponse = realResponse()

/** A program of its own, since here the classes are loaded: undici leaves a mark on the globals when it is. */
const LAZINESS = `
  import { installFetchGlobals, LightResponse, realResponse, requestFrom } from '${new URL('../../../dist/http/index.js', import.meta.url)}'
  const isLoaded = () => Object.getOwnPropertySymbols(globalThis).includes(Symbol.for('undici.globalDispatcher.1'))
  installFetchGlobals()
  const response = new Response('a', { headers: { 'x-a': '1' } })
  const ofLight = [response instanceof Response, response.headers instanceof Headers, !(null instanceof Response)]
  const before = isLoaded()
  const fetched = await fetch('data:,a')
  const ofFetch = [fetched instanceof Response, fetched.headers instanceof Headers]
  const tied = response instanceof realResponse()
  console.log(JSON.stringify({ ofLight, before, ofFetch, after: isLoaded(), global: Response === LightResponse, tied }))
`

const names = ['Headers', 'Request', 'Response', 'fetch'] as const
let server: Server
let url: string
let restore: () => void = () => {}

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method, headers } = request
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    response.end(JSON.stringify({ method, headers, body: Buffer.concat(chunks).toString() }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
afterEach(() => restore())

function post(head = ''): Request {
  const { source } = incoming('POST', `Content-Type: text/plain\r\nX-A: 1\r\n${head}\r\n`, arriving('abc'))
  return requestFrom({ ...source, url: () => url, headers: () => source.headers() })
}

interface Echo {
  method: string
  body: string
  headers: Record<string, string>
}

describe('the globals', () => {
  it('are replaced with the same attributes, once, and restored', () => {
    for (const name of names) void globalThis[name]
    const originals = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name)!)
    restore = installFetchGlobals()
    expect(installFetchGlobals()).toBe(restore)
    expect([Headers, Request, Response]).toEqual([LightHeaders, LightRequest, LightResponse])
    for (const [i, name] of names.entries()) {
      const { value: light, ...attributes } = Object.getOwnPropertyDescriptor(globalThis, name)!
      const { value: real, ...expected } = originals[i]!
      expect(attributes).toEqual(expected)
      expect(light).not.toBe(real)
      expect(light.name).toBe(name)
    }
    restore()
    restore()
    expect(names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name))).toEqual(originals)
    expect([Headers, Request, Response, fetch]).toEqual([RealHeaders, RealRequest, RealResponse, realFetch])
  })

  it('are found real by a second copy of the module', async () => {
    restore = installFetchGlobals()
    const copy = await import(new URL('../../../dist/http/index.js?copy', import.meta.url).href)
    expect([copy.realHeaders(), copy.realRequest(), copy.realResponse(), copy.realFetch]).toEqual([
      ...[RealHeaders, RealRequest, RealResponse, realFetch],
    ])
  })
})

describe('the classes of the platform', () => {
  it('are loaded only when somebody asks, and then tied to the light ones', () => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', LAZINESS], {
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({
      ofLight: [true, true, true],
      before: false,
      ofFetch: [true, true],
      after: true,
      global: true,
      tied: true,
    })
  })
})

describe('fetch', () => {
  it('gives responses that are instances of the light class', async () => {
    restore = installFetchGlobals()
    const response = await fetch(url)
    expect(response).toBeInstanceOf(Response)
    expect(response.headers).toBeInstanceOf(Headers)
    expect(new Headers(response.headers).getSetCookie()).toEqual(['a=1', 'b=2'])
    const copy = new Response(response.body, response)
    expect(((await copy.json()) as Echo).method).toBe('GET')
  })

  it('sends an incoming request on, without the headers of its hop', async () => {
    restore = installFetchGlobals()
    const request = post(
      'Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nTE: trailers\r\n',
    )
    const echo = (await (await fetch(request)).json()) as Echo
    expect([echo.method, echo.body, echo.headers['x-a'], echo.headers.te]).toEqual(['POST', 'abc', '1', undefined])
    expect(request.bodyUsed).toBe(true)
    await expect(fetch(request)).rejects.toThrow(TypeError)
  })

  it('takes an init with an incoming request', async () => {
    restore = installFetchGlobals()
    const echo = (await (await fetch(post(), { method: 'PUT', body: 'new' })).json()) as Echo
    expect([echo.method, echo.body]).toEqual(['PUT', 'new'])
  })

  it('takes the parts of an incoming request', async () => {
    restore = installFetchGlobals()
    const { body, headers, signal, method } = post()
    const response = await fetch(url, { method, body, headers, signal, duplex: 'half' } as never)
    const echo = (await response.json()) as Echo
    expect([echo.body, echo.headers['x-a']]).toEqual(['abc', '1'])
  })

  it('takes a request made by the app, and light headers', async () => {
    restore = installFetchGlobals()
    const made = new Request(url, { method: 'POST', body: 'abc', headers: new Headers({ 'x-a': '2' }) })
    const echo = (await (await fetch(made)).json()) as Echo
    expect([echo.body, echo.headers['x-a']]).toEqual(['abc', '2'])
    const other = (await (await realFetch(url, { headers: new Headers({ 'x-a': '3' }) })).json()) as Echo
    expect(other.headers['x-a']).toBe('3')
  })
})
