import { reasonOf } from '@cs/core/http'
import { describe, expect, test } from 'vitest'
import { Client, chunkedPost, get, head, OK, ok, post, refusal } from './driver.js'

const LONG = 'a'.repeat(20_000)

/** What is refused, with which status, by which section. The shortest prefix that must be refused ends at `‸`. */
const REFUSED: readonly [title: string, rule: string, status: number, bytes: string][] = [
  // request line
  ['a leading space', '9112 §3', 400, ' ‸GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a bare LF before the request line', '9112 §2.2', 400, '\n‸GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a CR without LF before the request line', '9112 §2.2', 400, '\rG‸ET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a method that is no token', '9110 §5.6.2', 400, 'G(‸T / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a tab behind the method', '9112 §3', 400, 'GET\t‸/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['two spaces behind the method', '9112 §3', 400, 'GET  ‸/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['two spaces behind the target', '9112 §3', 400, 'GET /  ‸HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['no target', '9112 §3', 400, 'GET HTTP/1.1\r‸\nHost: a\r\n\r\n'],
  ['NUL in the target', '9112 §3.2', 400, 'GET /\0‸ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a control character in the target', '9112 §3.2', 400, 'GET /\x01‸ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['DEL in the target', '9112 §3.2', 400, 'GET /\x7f‸ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a byte beyond ASCII in the target', '3986 §2', 400, 'GET /\xe9‸ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['HTTP/0.9', '9112 §2.3', 400, 'GET /\r‸\n'],
  ['a version in lower case', '9112 §2.3', 400, 'GET / h‸ttp/1.1\r\nHost: a\r\n\r\n'],
  ['another protocol', '9112 §2.3', 400, 'GET / HTTQ‸/1.1\r\nHost: a\r\n\r\n'],
  ['a version without minor', '9112 §2.3', 400, 'GET / HTTP/1\r‸\nHost: a\r\n\r\n'],
  ['a version of two digits', '9112 §2.3', 400, 'GET / HTTP/11‸.1\r\nHost: a\r\n\r\n'],
  ['a minor version of two digits', '9112 §2.3', 400, 'GET / HTTP/1.10‸\r\nHost: a\r\n\r\n'],
  ['a space behind the version', '9112 §3', 400, 'GET / HTTP/1.1 ‸\r\nHost: a\r\n\r\n'],
  ['a bare LF behind the request line', '9112 §2.2', 400, 'GET / HTTP/1.1\n‸Host: a\r\n\r\n'],
  ['HTTP/2.0', '9110 §15.6.6', 505, 'GET / HTTP/2.0\r\n‸Host: a\r\n\r\n'],
  ['HTTP/0.9 by number', '9110 §15.6.6', 505, 'GET / HTTP/0.9\r\n‸Host: a\r\n\r\n'],
  ['the preface of HTTP/2', '9110 §15.6.6', 505, 'PRI * HTTP/2.0\r\n‸\r\nSM\r\n\r\n'],
  ['CONNECT', '9110 §9.3.6', 501, 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n‸'],
  ['TRACE', '9110 §9.3.8', 501, head('TRACE', '/')],
  // targets
  ['a fragment', '9112 §3.2.1', 400, get('/a#b')],
  ['a path without slash', '9112 §3.2.1', 400, get('a')],
  ['authority-form without CONNECT', '9112 §3.2.3', 400, get('example.com:80')],
  ['asterisk-form without OPTIONS', '9112 §3.2.4', 400, get('*')],
  ['absolute-form without host', '9110 §4.2.1', 400, get('http:///a')],
  ['absolute-form with user information', '9110 §4.2.4', 400, get('http://me@a/')],
  ['absolute-form with a backslash in the host', '3986 §3.2.2', 400, get('http://a\\b/')],
  ['absolute-form of another scheme', '9112 §3.2.2', 400, get('ftp://a/')],
  ['absolute-form with a fragment', '9112 §3.2.2', 400, get('http://a/#b')],
  ['absolute-form with a port out of range', '3986 §3.2.3', 400, get('http://a:65536/')],
  // Host
  ['no Host', '9112 §3.2', 400, 'GET / HTTP/1.1\r\n\r\n‸'],
  ['two Hosts', '9112 §3.2', 400, 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n‸\r\n'],
  ['two Hosts in HTTP/1.0', '9112 §3.2', 400, 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n‸\r\n'],
  ...[
    'a b',
    'a,b c',
    'a/b',
    'a@b',
    'a?b',
    'a#b',
    'a\\b',
    'a:b',
    'a:1:2',
    'a:65536',
    '[::1',
    '::1',
    '[::1]x',
    '[g]',
    '[]',
    ':80',
    'a%zz',
    '%2f',
    '1.2.3.4.5',
    '999.1.1.1',
    '<a>',
    'a\xe9',
    '"a"',
    'a:-1',
    'a: 80',
    'http://a',
  ].map((host): [string, string, number, string] => [
    `the Host ${JSON.stringify(host)}`,
    '9112 §3.2',
    400,
    `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n‸`,
  ]),
  // fields
  ['a space before the colon', '9112 §5.1', 400, 'GET / HTTP/1.1\r\nHost ‸: a\r\n\r\n'],
  ['a tab before the colon', '9112 §5.1', 400, 'GET / HTTP/1.1\r\nHost\t‸: a\r\n\r\n'],
  ['obs-fold with a space', '9112 §5.2', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n ‸b\r\n\r\n'],
  ['obs-fold with a tab', '9112 §5.2', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\t‸b\r\n\r\n'],
  ['a space before the first field', '9112 §2.2', 400, 'GET / HTTP/1.1\r\n ‸Host: a\r\n\r\n'],
  ['a field without colon', '9112 §5', 400, 'GET / HTTP/1.1\r\nHost\r‸\n\r\n'],
  ['a field without name', '9112 §5', 400, 'GET / HTTP/1.1\r\n:‸ a\r\n\r\n'],
  ['a field name that is no token', '9110 §5.1', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX(‸: a\r\n\r\n'],
  ['a field name beyond ASCII', '9110 §5.1', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX\xe9‸: a\r\n\r\n'],
  ['NUL in a field name', '9110 §5.1', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX\0‸: a\r\n\r\n'],
  ['NUL in a field value', '9110 §5.5', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX: a\0‸b\r\n\r\n'],
  ['a control character in a field value', '9110 §5.5', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX: a\x0b‸b\r\n\r\n'],
  ['DEL in a field value', '9110 §5.5', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX: a\x7f‸b\r\n\r\n'],
  ['a bare CR in a field value', '9112 §2.2', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX: a\rb‸\r\n\r\n'],
  ['a bare LF behind a field', '9112 §2.2', 400, 'GET / HTTP/1.1\r\nHost: a\n‸\r\n'],
  ['a bare LF as the empty line', '9112 §2.2', 400, 'GET / HTTP/1.1\r\nHost: a\r\n\n‸'],
  ['a bare CR as the empty line', '9112 §2.2', 400, 'GET / HTTP/1.1\r\nHost: a\r\n\rX‸'],
  ['CR CR LF behind a field', '9112 §2.2', 400, 'GET / HTTP/1.1\r\nHost: a\r\r‸\n\r\n'],
  // framing
  ...['', '+5', '-5', '5,5', '5, 5', '5 5', '0x5', '5.0', '5e0', '1_0', 'five', '\xb2', '5\xa0'].map(
    (length): [string, string, number, string] => [
      `the Content-Length ${JSON.stringify(length)}`,
      '9110 §8.6',
      400,
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n‸\r\nhello`,
    ],
  ),
  ['two equal Content-Lengths', '9112 §6.3', 400, head('POST', '/', 'Content-Length: 5', 'Content-Length: 5')],
  ['two different Content-Lengths', '9112 §6.3', 400, head('POST', '/', 'Content-Length: 5', 'content-length: 6')],
  ['a Content-Length of 18 digits', '9110 §15.5.14', 413, head('POST', '/', 'Content-Length: 999999999999999999')],
  ['a Content-Length of 400 digits', '9110 §15.5.14', 413, head('POST', '/', `Content-Length: ${'9'.repeat(400)}`)],
  ['Content-Length before Transfer-Encoding', '9112 §6.1', 400, chunkedPost('0\r\n\r\n', 'Content-Length: 5')],
  [
    'Content-Length behind Transfer-Encoding',
    '9112 §6.1',
    400,
    head('POST', '/', 'Content-Length: 5', 'Transfer-Encoding: chunked'),
  ],
  ['Transfer-Encoding in HTTP/1.0', '9112 §6.1', 400, chunkedPost('0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0')],
  ...[
    '',
    'gzip',
    'identity',
    'xchunked',
    'chunked, gzip',
    'chunked, chunked',
    'chunked,',
    'chunked;a=b',
    '"chunked"',
    'chunked\xa0',
    '\x85chunked',
    'gzip chunked',
    'ch unked',
    'chunked, identity',
    '(), chunked',
    ', chunked, x',
  ].map((coding): [string, string, number, string] => [
    `the Transfer-Encoding ${JSON.stringify(coding)}`,
    '9112 §6.3',
    400,
    head('POST', '/', `Transfer-Encoding: ${coding}`),
  ]),
  ['chunked twice in two fields', '9112 §7.1', 400, chunkedPost('', 'Transfer-Encoding: chunked')],
  ['an unknown coding', '9112 §6.1', 501, head('POST', '/', 'Transfer-Encoding: gzip, chunked')],
  [
    'an unknown coding with parameters',
    '9112 §6.1',
    501,
    head('POST', '/', 'Transfer-Encoding: foo ; a="b" , CHUNKED'),
  ],
  [
    'an unknown coding in a field of its own',
    '9112 §6.1',
    501,
    head('POST', '/', 'Transfer-Encoding: br', 'Transfer-Encoding: chunked'),
  ],
  ['an unknown expectation', '9110 §10.1.1', 417, head('POST', '/', 'Expect: 200-ok')],
  ['a second expectation', '9110 §10.1.1', 417, head('POST', '/', 'Expect: 100-continue, x')],
  // chunks
  ['a chunk size that is not hexadecimal', '9112 §7.1', 400, chunkedPost('g‸\r\n')],
  ['an empty chunk size', '9112 §7.1', 400, chunkedPost('\r‸\n')],
  ['a chunk size with a prefix', '9112 §7.1', 400, chunkedPost('0x‸5\r\nhello\r\n')],
  ['a signed chunk size', '9112 §7.1', 400, chunkedPost('+‸5\r\nhello\r\n')],
  ['a space before a chunk size', '9112 §7.1', 400, chunkedPost(' ‸5\r\nhello\r\n')],
  ['a space behind a chunk size', '9112 §7.1.1', 400, chunkedPost('5 \r‸\nhello\r\n')],
  ['a chunk size that overflows', '9112 §7.1', 400, chunkedPost('ffffffffffffff‸fff\r\n')],
  ['a chunk size of many zeros', '9112 §7.1', 400, chunkedPost('00000000000005‸\r\nhello\r\n')],
  ['a bare LF behind a chunk size', '9112 §2.2', 400, chunkedPost('5\n‸hello\r\n')],
  ['a bare CR behind a chunk size', '9112 §2.2', 400, chunkedPost('5\rh‸ello\r\n')],
  ['a chunk longer than its size', '9112 §7.1', 400, chunkedPost('5\r\nhello!‸\r\n')],
  ['a bare LF behind a chunk', '9112 §2.2', 400, chunkedPost('5\r\nhello\n‸')],
  ['a chunk shorter than its size', '9112 §7.1', 400, chunkedPost('8\r\nhello\r\n0\r\n\r‸\n')],
  ['a bare LF in a chunk extension', '9112 §7.1.1', 400, chunkedPost('5;a\n‸hello\r\n')],
  ['a bare LF in a quoted extension value', '9112 §7.1.1', 400, chunkedPost('5;a="\n‸"\r\nhello\r\n')],
  ['a bare CR in a chunk extension', '9112 §7.1.1', 400, chunkedPost('5;a\rX‸\r\nhello\r\n')],
  ['a chunk extension without name', '9112 §7.1.1', 400, chunkedPost('5;\r‸\nhello\r\n')],
  ['a chunk extension without value', '9112 §7.1.1', 400, chunkedPost('5;a=\r‸\nhello\r\n')],
  ['a chunk extension of two words', '9112 §7.1.1', 400, chunkedPost('5;a b‸\r\nhello\r\n')],
  ['an unclosed quoted extension value', '9112 §7.1.1', 400, chunkedPost('5;a="b\r‸\nhello\r\n')],
  ['something behind a quoted extension value', '9112 §7.1.1', 400, chunkedPost('5;a="b"c‸\r\nhello\r\n')],
  ['chunk extensions without end', '9112 §7.1.1', 413, chunkedPost(`5;${LONG}`)],
  ['a trailer with a space before the colon', '9112 §5.1', 400, chunkedPost('0\r\nX ‸: a\r\n\r\n')],
  ['a folded trailer', '9112 §5.2', 400, chunkedPost('0\r\nX: a\r\n ‸b\r\n\r\n')],
  ['NUL in a trailer', '9110 §5.5', 400, chunkedPost('0\r\nX: \0‸\r\n\r\n')],
  ['a trailer without colon', '9112 §5', 400, chunkedPost('0\r\nX\r‸\n\r\n')],
  ['a trailer without name', '9112 §5', 400, chunkedPost('0\r\n:‸a\r\n\r\n')],
  ['a bare LF behind a trailer', '9112 §2.2', 400, chunkedPost('0\r\nX: a\n‸\r\n')],
  ['a bare LF as the end of the body', '9112 §2.2', 400, chunkedPost('0\r\n\n‸')],
  ['trailers without end', '6585 §5', 431, chunkedPost(`0\r\nX: ${LONG}`)],
  // limits
  ['a target without end', '9112 §3', 414, `GET /${LONG}`],
  ['a method without end', '9112 §3', 414, LONG],
  ['a field value without end', '6585 §5', 431, `GET / HTTP/1.1\r\nHost: a\r\nX: ${LONG}`],
  ['a field name without end', '6585 §5', 431, `GET / HTTP/1.1\r\nHost: a\r\n${LONG}`],
  ['blanks before a value without end', '6585 §5', 431, `GET / HTTP/1.1\r\nHost: a\r\nX:${' '.repeat(20_000)}`],
  ['fields without end', '6585 §5', 431, `GET / HTTP/1.1\r\nHost: a\r\n${'X: a\r\n'.repeat(257)}`],
  ['a body over the limit', '9110 §15.5.14', 413, head('POST', '/', 'Content-Length: 134217729')],
]

describe.each(REFUSED)('%s (RFC %s)', (_title, _rule, status, marked) => {
  const bytes = marked.replace('‸', '')
  const answer = refusal(status, reasonOf(status))

  test(`is refused with ${status} and the connection closes`, () => {
    const client = new Client({ handler: ok }).feed(bytes)
    expect(client.sent).toBe(answer)
    expect(client.requests).toEqual([])
    expect(client.machine).toMatchObject({
      closing: true,
      lingering: true,
      wantsInput: false,
      busy: false,
      unparsed: 0,
    })
    expect(client.refusals).toBe(1)
  })

  test('is refused behind an answered request, and nothing behind it is answered', () => {
    const client = new Client({ handler: ok }).feed(get() + bytes + get(), get(), bytes).end()
    expect(client.sent).toBe(OK + answer)
    expect(client.requests).toHaveLength(1)
    expect(client.refusals).toBe(1)
  })
})

test.each(REFUSED.filter(([, , , marked]) => marked.includes('‸') && !marked.includes('chunked')))(
  '%s (RFC %s) is refused with %i as soon as it can be told, byte by byte',
  (_title, _rule, status, marked) => {
    const prefix = marked.slice(0, marked.indexOf('‸'))
    const client = new Client({ handler: ok }).trickle(prefix.slice(0, -1))
    expect(client.sent).toBe('')
    expect(client.feed(prefix.slice(-1)).sent).toBe(refusal(status, reasonOf(status)))
  },
)

test.each(REFUSED.filter(([, , , marked]) => marked.includes('‸') && marked.includes('chunked')))(
  '%s (RFC %s) breaks a body of which nothing was answered as soon as it can be told',
  (_title, _rule, status, marked) => {
    const prefix = marked.slice(0, marked.indexOf('‸'))
    const client = new Client().trickle(prefix.slice(0, -1))
    expect(client.sent).toBe('')
    expect(client.feed(prefix.slice(-1)).sent).toBe(refusal(status, reasonOf(status)))
  },
)

describe('a refused body', () => {
  test('is answered with the refusal where the app has not answered yet', async () => {
    const client = new Client().feed(chunkedPost('5\r\nhel'))
    const [request] = client.requests
    const { signal } = request!
    const text = request!.text()
    client.feed('lo!')
    expect(client.sent).toBe(refusal(400, 'Bad Request'))
    await expect(text).rejects.toThrow('the request is refused with 400')
    expect(signal.aborted).toBe(true)
    expect(client.respond(ok())).toBeUndefined()
    expect(client.sent).toBe(refusal(400, 'Bad Request'))
  })

  test('is not answered a second time where it comes behind its answer', () => {
    const client = new Client({ handler: ok }).feed(chunkedPost('5\r\nhel'), 'lo!', get())
    expect(client.sent).toBe(OK)
    expect(client.machine.closing).toBe(true)
  })

  test('ends a response that has begun without its last chunk', () => {
    const client = new Client().feed(chunkedPost('5\r\nhel'))
    client.respond(new Response(new ReadableStream()))
    client.write('begun')
    client.feed('lo!')
    client.write('more')
    client.finish()
    expect(client.sent).toMatch(/\r\n\r\n5\r\nbegun\r\n$/)
    expect(client.machine.closing).toBe(true)
  })

  test('gets no content where the method is HEAD', () => {
    expect(new Client().feed(head('HEAD', '*')).sent).toBe(refusal(400, 'Bad Request').replace('400 Bad Request\n', ''))
  })
})

describe('limits', () => {
  const limits = { requestLine: 100, headerBytes: 100, headerCount: 3, body: 10 }
  const line = (length: number) => `GET /${'a'.repeat(length - 'GET / HTTP/1.1\r\n'.length)} HTTP/1.1\r\n`
  const fields = (length: number) => `Host: a\r\nX: ${'a'.repeat(length - 'Host: a\r\nX: \r\n\r\n'.length)}\r\n\r\n`

  const BOUNDARIES: readonly [string, string, string][] = [
    ['a request line of 100 bytes', `${line(100)}Host: a\r\n\r\n`, OK],
    ['a request line of 101 bytes', `${line(101)}Host: a\r\n\r\n`, refusal(414, 'URI Too Long')],
    ['a header section of 100 bytes', `GET / HTTP/1.1\r\n${fields(100)}`, OK],
    [
      'a header section of 101 bytes',
      `GET / HTTP/1.1\r\n${fields(101)}`,
      refusal(431, 'Request Header Fields Too Large'),
    ],
    ['3 fields', get('/', 'A: 1', 'B: 2'), OK],
    ['4 fields', get('/', 'A: 1', 'B: 2', 'C: 3'), refusal(431, 'Request Header Fields Too Large')],
    ['a body of 10 bytes', post('0123456789'), OK],
    ['a body of 11 bytes', post('0123456789a'), refusal(413, 'Content Too Large')],
    ['a chunked body of 10 bytes', chunkedPost('a\r\n0123456789\r\n0\r\n\r\n'), OK],
    ['a chunked body of 11 bytes', chunkedPost('b\r\n0123456789a\r\n0\r\n\r\n'), refusal(413, 'Content Too Large')],
    ['a trailer section of 100 bytes', chunkedPost(`0\r\nX: ${'a'.repeat(93)}\r\n\r\n`), OK],
    [
      'a trailer section of 101 bytes',
      chunkedPost(`0\r\nX: ${'a'.repeat(94)}\r\n\r\n`),
      refusal(431, 'Request Header Fields Too Large'),
    ],
  ]
  test.each(BOUNDARIES)('%s is within or beyond them, fed whole', (_title, bytes, answer) => {
    expect(new Client({ limits, handler: ok }).feed(bytes).sent).toBe(answer)
  })

  test.each(BOUNDARIES.filter(([title]) => !/body|trailer/.test(title)))(
    '%s is judged alike byte by byte',
    (_title, bytes, answer) => {
      expect(new Client({ limits, handler: ok }).trickle(bytes).sent).toBe(answer)
    },
  )
})
