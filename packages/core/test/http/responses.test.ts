import { LightResponse, Output, skip } from '@cs/core/http'
import { describe, expect, test } from 'vitest'
import { Client, DATE, get, head, ok, post, quiet } from './driver.js'

const TEXT = 'content-type: text/plain;charset=UTF-8\r\n'
const GET = get()
const HEAD = head('HEAD', '/')
const GET_1_0 = get('/', 'Connection: keep-alive').replace('HTTP/1.1', 'HTTP/1.0')
const HEAD_1_0 = GET_1_0.replace('GET', 'HEAD')

function stream(...chunks: (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
      controller.close()
    },
  })
}

async function answer(bytes: string, response: Response | (() => Response)): Promise<Client> {
  const client = new Client({ handler: typeof response === 'function' ? response : () => response }).feed(bytes)
  await quiet()
  return client
}

const latin1 = (text: string) => Buffer.from(text).toString('latin1')

describe('a response', () => {
  type Body = ConstructorParameters<typeof LightResponse>[0]
  const light = (body?: Body | (() => Body), init?: ResponseInit) => () =>
    new LightResponse(typeof body === 'function' ? body() : body, init)
  const real =
    (...args: ConstructorParameters<typeof Response>) =>
    () =>
      new Response(...args)
  const length = { 'content-length': '5' }
  const date = { date: 'x' }

  test.each<[string, string, () => Response, string, string]>([
    ['text', GET, light('hello'), `200 OK\r\n${TEXT}${DATE}content-length: 5`, 'hello'],
    ['empty text', GET, light(''), `200 OK\r\n${TEXT}${DATE}content-length: 0`, ''],
    ['text beyond ASCII', GET, light('hé€𝄞'), `200 OK\r\n${TEXT}${DATE}content-length: 10`, latin1('hé€𝄞')],
    [
      'text with lone surrogates',
      GET,
      light('a\ud800b\udc00'),
      `200 OK\r\n${TEXT}${DATE}content-length: 8`,
      latin1('a\ufffdb\ufffd'),
    ],
    [
      'JSON',
      GET,
      () => LightResponse.json({ a: 1 }),
      `200 OK\r\ncontent-type: application/json\r\n${DATE}content-length: 7`,
      '{"a":1}',
    ],
    ['bytes', GET, light(new Uint8Array([0, 255, 10])), `200 OK\r\n${DATE}content-length: 3`, '\0\xff\n'],
    ['no body', GET, light(), `200 OK\r\n${DATE}content-length: 0`, ''],
    [
      'a blob',
      GET,
      light(new Blob(['blob'], { type: 'x/y' })),
      `200 OK\r\ncontent-type: x/y\r\n${DATE}content-length: 4`,
      'blob',
    ],
    [
      'a stream',
      GET,
      light(() => stream('ab', 'cde')),
      `200 OK\r\n${DATE}transfer-encoding: chunked`,
      '2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n',
    ],
    ['an empty stream', GET, light(() => stream()), `200 OK\r\n${DATE}transfer-encoding: chunked`, '0\r\n\r\n'],
    [
      'a stream with empty chunks',
      GET,
      light(() => stream('', 'a', '')),
      `200 OK\r\n${DATE}transfer-encoding: chunked`,
      '1\r\na\r\n0\r\n\r\n',
    ],
    [
      'a stream of known length',
      GET,
      light(() => stream('ab', 'cde'), { headers: length }),
      `200 OK\r\n${DATE}content-length: 5`,
      'abcde',
    ],
    [
      'a response of the platform',
      GET,
      real('real'),
      `200 OK\r\n${TEXT}${DATE}transfer-encoding: chunked`,
      '4\r\nreal\r\n0\r\n\r\n',
    ],
    [
      'a redirect',
      GET,
      () => LightResponse.redirect('http://b/'),
      `302 Found\r\nlocation: http://b/\r\n${DATE}content-length: 0`,
      '',
    ],
    [
      'a reason of the app',
      GET,
      light('', { status: 200, statusText: 'F\xedne' }),
      `200 F\xedne\r\n${TEXT}${DATE}content-length: 0`,
      '',
    ],
    ['a status nobody knows', GET, light(null, { status: 299 }), `299 \r\n${DATE}content-length: 0`, ''],
    ['204', GET, light(null, { status: 204, headers: length }), `204 No Content\r\n${DATE}`.trimEnd(), ''],
    ['205', GET, light(null, { status: 205 }), `205 Reset Content\r\n${DATE}content-length: 0`, ''],
    ['304', GET, light(null, { status: 304 }), `304 Not Modified\r\n${DATE}`.trimEnd(), ''],
    [
      '304 with a length',
      GET,
      light(null, { status: 304, headers: length }),
      `304 Not Modified\r\n${DATE}content-length: 5`,
      '',
    ],
    ['text to HEAD', HEAD, light('hello'), `200 OK\r\n${TEXT}${DATE}content-length: 5`, ''],
    ['bytes to HEAD', HEAD, light(new Uint8Array(7)), `200 OK\r\n${DATE}content-length: 7`, ''],
    ['nothing to HEAD', HEAD, light(), `200 OK\r\n${DATE}`.trimEnd(), ''],
    ['a length alone to HEAD', HEAD, light(null, { headers: length }), `200 OK\r\n${DATE}content-length: 5`, ''],
    ['a stream to HEAD', HEAD, light(() => stream('a')), `200 OK\r\n${DATE}transfer-encoding: chunked`, ''],
    ['a blob to HEAD', HEAD, light(new Blob(['blob'])), `200 OK\r\n${DATE}content-length: 4`, ''],
    [
      'a wrong length',
      GET,
      light('hello', { headers: { 'content-length': '99' } }),
      `200 OK\r\n${TEXT}${DATE}content-length: 5`,
      'hello',
    ],
    ['a length without body', GET, light(null, { headers: length }), `200 OK\r\n${DATE}content-length: 0`, ''],
    [
      'a malformed length',
      GET,
      light(() => stream('a'), { headers: { 'content-length': '+1' } }),
      `200 OK\r\n${DATE}transfer-encoding: chunked`,
      '1\r\na\r\n0\r\n\r\n',
    ],
    [
      'a coding of its own',
      GET,
      light('a', { headers: { 'transfer-encoding': 'gzip', trailer: 'x' } }),
      `200 OK\r\n${TEXT}${DATE}content-length: 1`,
      'a',
    ],
    [
      'connection fields',
      GET,
      light('a', { headers: { connection: 'x', upgrade: 'y', 'keep-alive': 'z' } }),
      `200 OK\r\n${TEXT}${DATE}content-length: 1`,
      'a',
    ],
    ['a date of its own', GET, light(null, { headers: date }), '200 OK\r\ndate: x\r\ncontent-length: 0', ''],
    [
      'cookies',
      GET,
      light(null, {
        headers: [
          ['set-cookie', 'a'],
          ['Set-Cookie', 'b'],
        ],
      }),
      `200 OK\r\nset-cookie: a\r\nset-cookie: b\r\n${DATE}content-length: 0`,
      '',
    ],
    [
      'a field beyond ASCII',
      GET,
      light(null, { headers: { x: '\xe9\xff' } }),
      `200 OK\r\nx: \xe9\xff\r\n${DATE}content-length: 0`,
      '',
    ],
    [
      'text to HTTP/1.0',
      GET_1_0,
      light('a'),
      `200 OK\r\n${TEXT}${DATE}connection: keep-alive\r\ncontent-length: 1`,
      'a',
    ],
    [
      'a stream of known length to HTTP/1.0',
      GET_1_0,
      light(() => stream('a', 'b'), { headers: { 'content-length': '2' } }),
      `200 OK\r\n${DATE}connection: keep-alive\r\ncontent-length: 2`,
      'ab',
    ],
    [
      'a stream to a HEAD of HTTP/1.0',
      HEAD_1_0,
      light(() => stream('a')),
      `200 OK\r\n${DATE}connection: keep-alive`,
      '',
    ],
  ])('with %s is framed by the rules', async (_title, bytes, response, start, body) => {
    const client = await answer(bytes, response)
    expect(client.take()).toBe(`HTTP/1.1 ${start}\r\n\r\n${body}`)
    expect(client.machine).toMatchObject({ closing: false, idle: true })
    client.feed(bytes)
    await quiet()
    expect(client.requests).toHaveLength(2)
  })

  test.each<[string, string, () => Response, string, string]>([
    ['a stream to HTTP/1.0', GET_1_0, light(() => stream('ab', 'c')), `200 OK\r\n${DATE}connection: close`, 'abc'],
    [
      'Connection: close of the app',
      GET,
      light('a', { headers: { connection: 'x, Close' } }),
      `200 OK\r\n${TEXT}${DATE}connection: close\r\ncontent-length: 1`,
      'a',
    ],
    [
      'a stream shorter than its length',
      GET,
      light(() => stream('abc'), { headers: length }),
      `200 OK\r\n${DATE}content-length: 5`,
      'abc',
    ],
    [
      'a stream longer than its length',
      GET,
      light(() => stream('abc', 'defgh', 'i'), { headers: length }),
      `200 OK\r\n${DATE}content-length: 5`,
      'abcde',
    ],
  ])('with %s ends the connection', async (_title, bytes, response, start, body) => {
    const client = await answer(bytes, response)
    expect(client.sent).toBe(`HTTP/1.1 ${start}\r\n\r\n${body}`)
    expect(client.machine.closing).toBe(true)
  })

  test('whose stream fails has no last chunk and ends the connection', async () => {
    let count = 0
    const body = new ReadableStream({
      pull(controller) {
        if (count++ === 0) controller.enqueue(Buffer.from('a'))
        else controller.error(new Error('broken'))
      },
    })
    const client = await answer(GET, new LightResponse(body))
    expect(client.sent).toMatch(/\r\n\r\n1\r\na\r\n$/)
    expect(client.machine.closing).toBe(true)
  })

  test.each([1, 16_383, 16_384, 16_385, 65_000, 65_536, 65_537, 200_000])(
    'of %i characters or bytes arrives whole, behind others',
    async (size) => {
      const ascii = 'abcdefg'.repeat(size / 7 + 1).slice(0, size)
      const wide = 'é€'.repeat(size / 2 + 1).slice(0, size)
      for (const body of [ascii, wide, Buffer.from(ascii), new Blob([ascii]), stream(ascii, wide)]) {
        const answers = [ok(), new LightResponse(body)]
        const client = await answer(GET + GET, () => answers.shift()!)
        const expected = latin1(body === wide ? wide : ascii)
        expect(client.sent.endsWith(body instanceof ReadableStream ? '\r\n0\r\n\r\n' : `\r\n\r\n${expected}`)).toBe(
          true,
        )
        expect(client.sent).toContain(expected)
      }
    },
  )
  test('of a form has its boundary', async () => {
    const form = new FormData()
    form.set('a', 'b')
    const client = await answer(GET, new LightResponse(form))
    expect(client.sent).toMatch(/content-type: multipart\/form-data; boundary=/)
    expect(client.sent).toContain('name="a"\r\n\r\nb\r\n')
    expect(client.sent.endsWith('0\r\n\r\n')).toBe(true)
  })

  test.each([
    () => new LightResponse(null, { headers: { x: 'a\r\nset-cookie: b' } }),
    () => new LightResponse(null, { headers: { 'x\r\ny': 'a' } }),
    () => new LightResponse(null, { headers: { x: 'a\0' } }),
    () => new LightResponse(null, { headers: { x: '\u010a' } }),
    () => new LightResponse(null, { headers: { x: '\u560a\u560d' } }),
    () => new LightResponse(null, { statusText: 'OK\r\nx: y' }),
    () => new LightResponse(null, { statusText: '\u010d\u010a' }),
  ])('cannot be made to hold what would end a line (%#)', (make) => {
    expect(make).toThrow(TypeError)
  })

  test('that was read already, or stands for a failure, is not sent, and another can be', async () => {
    const client = new Client().feed(GET)
    const used = new LightResponse('a')
    await used.text()
    expect(() => client.machine.respond(used)).toThrow(TypeError)
    expect(() => client.machine.respond(LightResponse.error())).toThrow(TypeError)
    expect(() => client.machine.respond(undefined as never)).toThrow(TypeError)
    client.machine.respondStatus(500)
    expect(client.machine.idle).toBe(true)
    client.feed('')
    expect(client.sent).toBe(
      `HTTP/1.1 500 Internal Server Error\r\n${TEXT}${DATE}content-length: 26\r\n\r\n500 Internal Server Error\n`,
    )
  })

  test('that comes too late has its stream cancelled', async () => {
    let cancelled = false
    const client = new Client().feed(GET)
    client.machine.vanish()
    client.respond(new LightResponse(new ReadableStream({ cancel: () => void (cancelled = true) })))
    expect(cancelled).toBe(true)
    expect(client.sent).toBe('')
  })

  test('to HEAD has its stream cancelled', async () => {
    let cancelled = false
    await answer(HEAD, new LightResponse(new ReadableStream({ cancel: () => void (cancelled = true) })))
    expect(cancelled).toBe(true)
  })

  test('that is streamed holds up the next request until it is finished', async () => {
    const client = new Client().feed(GET + GET)
    client.respond(new LightResponse(new ReadableStream()))
    client.write('a')
    expect(client.requests).toHaveLength(1)
    client.finish()
    expect(client.requests).toHaveLength(2)
  })

  test('to a request whose body is long may be streamed while the body is read, and keeps the connection', async () => {
    const client = new Client({ handler: (request) => new LightResponse(request.body) }).feed(
      head('POST', '/', 'Content-Length: 400000'),
    )
    for (let i = 0; i < 40; i++) {
      client.feed('x'.repeat(10_000))
      await quiet()
    }
    expect(client.machine).toMatchObject({ closing: false, idle: true })
    expect(client.sent.replace(/^.*?\r\n\r\n/s, '').replaceAll(/[^x]/g, '').length).toBe(400_000)
  })

  test('from fetch() leaves out the coding and length that fetch has undone', async () => {
    const fetched = new Response('plain', { headers: { 'content-encoding': 'gzip', 'content-length': '99' } })
    Object.defineProperty(fetched, 'url', { value: 'http://upstream/' })
    const client = await answer(GET, fetched)
    expect(client.sent).toBe(
      `HTTP/1.1 200 OK\r\n${TEXT}${DATE}transfer-encoding: chunked\r\n\r\n5\r\nplain\r\n0\r\n\r\n`,
    )
  })

  test('has a new Date when the second has changed', () => {
    const client = new Client({ handler: ok }).feed(GET)
    client.context.date.tick(Date.UTC(2026, 10, 20, 12, 0, 1))
    client.feed(GET + post('x'))
    expect(client.sent.match(/date: .*/g)).toEqual(
      ['12:00:00', '12:00:01', '12:00:01'].map((time) => `date: Fri, 20 Nov 2026 ${time} GMT`),
    )
  })
})

describe('output', () => {
  test('keeps the order of what is copied and what is not', () => {
    const output = new Output()
    const large = Buffer.alloc(20_000, 'L')
    output.latin1('a')
    output.data(large)
    output.utf8('é', 2)
    output.data(Buffer.from('b'))
    output.latin1('c'.repeat(65_536))
    output.utf8('€'.repeat(30_000), 90_000)
    output.data(large)
    const all = Buffer.concat(output.takeRest(0)).toString()
    expect(all).toBe(`a${large}éb${'c'.repeat(65_536)}${'€'.repeat(30_000)}${large}`)
    expect(output.empty).toBe(true)
  })

  test('gives what is left behind the bytes that were sent', () => {
    const chunks = ['ab', 'cd', 'ef'].map((text) => Buffer.from(text))
    expect([0, 1, 2, 3, 4, 5, 6].map((sent) => Buffer.concat(skip(chunks.slice(), sent)).toString())).toEqual([
      'abcdef',
      'bcdef',
      'cdef',
      'def',
      'ef',
      'f',
      '',
    ])
  })
})
