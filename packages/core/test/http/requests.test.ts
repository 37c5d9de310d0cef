import { LightResponse } from '@cs/core/http'
import { describe, expect, test } from 'vitest'
import { Client, get, head, OK, OK_CLOSE, ok, post, statuses } from './driver.js'

function requestOf(bytes: string): Request {
  const { requests, sent } = new Client().feed(bytes)
  expect(sent).toBe('')
  return requests[0]!
}

describe('a request target', () => {
  test.each([
    ['/', 'a', 'http://a/'],
    ['/b?c=d&e', 'a', 'http://a/b?c=d&e'],
    ['/b?', 'a', 'http://a/b?'],
    ['//b//c', 'a', 'http://a//b//c'],
    ['/b/../c', 'a', 'http://a/c'],
    ['/b/./c', 'a', 'http://a/b/c'],
    ['/b/..', 'a', 'http://a/'],
    ['/../../b', 'a', 'http://a/b'],
    ['/b/%2e%2E/c', 'a', 'http://a/c'],
    ['/b/.%2e/c', 'a', 'http://a/c'],
    ['/b?/../c', 'a', 'http://a/b?/../c'],
    ['/.b/c..d', 'a', 'http://a/.b/c..d'],
    ['/%zz%', 'a', 'http://a/%zz%'],
    ["/a'b?c'd", 'a', "http://a/a'b?c%27d"],
    ['/a"<>`{}|^\\b', 'a', new URL('http://a/a"<>`{}|^\\b').href],
    ['/a?"<>`{}|^\\b', 'a', new URL('http://a/a?"<>`{}|^\\b').href],
    ['/[b]', 'a', 'http://a/[b]'],
    ['/b:c@d', 'a', 'http://a/b:c@d'],
    ['/', 'a:80', 'http://a/'],
    ['/', 'a:', 'http://a/'],
    ['/', 'a:8080', 'http://a:8080/'],
    ['/', 'a:0008080', 'http://a:8080/'],
    ['/', 'a:65535', 'http://a:65535/'],
    ['/', 'EXAMPLE.com', 'http://example.com/'],
    ['/', 'a_b.c-d.', 'http://a_b.c-d./'],
    ['/', '%41.b', 'http://a.b/'],
    ['/', '0x7f.1', 'http://127.0.0.1/'],
    ['/', '[::1]:8080', 'http://[::1]:8080/'],
    ['/', '[0:0::1]', 'http://[::1]/'],
    ['/', '[::ffff:127.0.0.1]', 'http://[::ffff:7f00:1]/'],
    ['/', '', 'http://localhost/'],
    ['http://b/c?d', 'a', 'http://b/c?d'],
    ['http://b', 'a', 'http://b/'],
    ['http://b?c', 'a', 'http://b/?c'],
    ['HTTP://B:80/c/../d', 'a', 'http://b/d'],
    ['https://b:8443/', 'a', 'https://b:8443/'],
    ['http://[::1]:81/c', 'a', 'http://[::1]:81/c'],
  ])('%j with the Host %j is %s', (target, host, url) => {
    const request = requestOf(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    expect(request.url).toBe(url)
    expect(new URL(request.url).href).toBe(url)
    expect(request.headers.get('host')).toBe(host)
  })

  test('in asterisk-form names the server as a whole', () => {
    expect(requestOf(head('OPTIONS', '*')).url).toBe('http://a/')
  })

  test('needs no Host in HTTP/1.0', () => {
    expect(requestOf('GET /b HTTP/1.0\r\n\r\n').url).toBe('http://localhost/b')
  })

  test('keeps its host while another connection names another', () => {
    const requests = ['b', 'c', 'b'].map((host) => requestOf(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`))
    expect(requests.map(({ url }) => url)).toEqual(['http://b/', 'http://c/', 'http://b/'])
  })
})

describe('a head', () => {
  test('gives its fields as they came, without the blanks around values', () => {
    const { headers } = requestOf(
      get('/', 'X-A:1', 'x-a: \t 2 \t', 'Empty:', 'Text: \xe9 "q"', 'Set-Cookie: a', 'Blank:   '),
    )
    expect([...headers]).toEqual([
      ['blank', ''],
      ['empty', ''],
      ['host', 'a'],
      ['set-cookie', 'a'],
      ['text', '\xe9 "q"'],
      ['x-a', '1, 2'],
    ])
  })

  test.each([
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'DELETE',
    'OPTIONS',
    'PATCH',
    'QUERY',
    'get',
    'M-SEARCH',
    "!#$%&'*+-.^_`|~",
  ])('may have the method %s', (method) => expect(requestOf(head(method, '/')).method).toBe(method))

  test('may have any minor version', () => {
    expect(new Client({ handler: ok }).feed('GET / HTTP/1.7\r\nHost: a\r\n\r\n').sent).toBe(OK)
  })

  test('may follow empty lines, however they are split', () => {
    const client = new Client({ handler: ok }).feed('\r\n\r\n', '\r', '\n', `\r\n${get()}\r\n`, '\r', `\n${get()}`)
    expect(client.sent).toBe(OK + OK)
  })

  test('is read again from no byte that was good, so that bytes one at a time give the same', () => {
    const fields = ['Long: '.padEnd(3000, 'x '), 'X: 1', 'Content-Length: 0', `${'n'.repeat(300)}: \t  v`]
    const bytes = head('PUT', `/${'p'.repeat(2000)}`, ...fields)
    const whole = new Client().feed(bytes).requests[0]!
    const slow = new Client().trickle(bytes).requests[0]!
    expect([slow.method, slow.url, [...slow.headers]]).toEqual([whole.method, whole.url, [...whole.headers]])
  })

  test('that is incomplete on one connection leaves another alone', () => {
    const one = new Client({ handler: ok }).feed('POST /one HTTP/1.1\r\nHost: one\r\nConnection: close\r\n')
    const two = new Client({ handler: ok }).feed('GET /two HTTP/1.1\r\nHost: t')
    const three = new Client({ handler: ok }).feed(get('/three'))
    two.feed('wo\r\n\r\n')
    one.feed('\r\n')
    expect([one, two, three].map(({ requests }) => `${requests[0]!.method} ${requests[0]!.url}`)).toEqual([
      'POST http://one/one',
      'GET http://two/two',
      'GET http://a/three',
    ])
    expect([one, two, three].map(({ sent }) => sent)).toEqual([OK_CLOSE, OK, OK])
  })
})

describe('a connection', () => {
  const KEEP = OK.replace('content-length', 'connection: keep-alive\r\ncontent-length')
  test.each([
    ['1.1', [], OK],
    ['1.1', ['Connection: close'], OK_CLOSE],
    ['1.1', ['Connection: CLOSE'], OK_CLOSE],
    ['1.1', ['Connection: keep-alive'], OK],
    ['1.1', ['Connection: keep-alive, close'], OK_CLOSE],
    ['1.1', ['Connection: x', 'Connection: \ty ,, close\t'], OK_CLOSE],
    ['1.1', ['Connection: closed'], OK],
    ['1.1', ['Connection: close\xa0'], OK],
    ['1.1', ['Connection:'], OK],
    ['1.1', ['Proxy-Connection: close'], OK],
    ['1.0', [], OK_CLOSE],
    ['1.0', ['Connection: keep-alive'], KEEP],
    ['1.0', ['Connection: Keep-Alive, x'], KEEP],
    ['1.0', ['Connection: keep-alive, close'], OK_CLOSE],
    ['1.0', ['Keep-Alive: timeout=5'], OK_CLOSE],
  ] as const)('of HTTP/%s with %j is kept or closed as it should', (version, fields, sent) => {
    const bytes = get('/', ...fields).replace('HTTP/1.1', `HTTP/${version}`)
    const client = new Client({ handler: ok }).feed(bytes)
    expect(client.sent).toBe(sent)
    const closes = sent === OK_CLOSE
    expect(client.machine).toMatchObject({ closing: closes, lingering: false, idle: true, wantsInput: !closes })
    expect(client.feed(bytes).sent).toBe(closes ? sent : sent + sent)
  })

  test('answers 100 pipelined requests in order, however slow each answer', () => {
    const targets = Array.from({ length: 100 }, (_, i) => `/${i}`)
    const client = new Client().feed(targets.map((target) => get(target)).join(''))
    for (const target of targets) {
      expect(client.requests.map(({ url }) => new URL(url).pathname).at(-1)).toBe(target)
      expect(client.machine).toMatchObject({ busy: true, wantsInput: false })
      client.respond(new LightResponse(target))
    }
    expect(client.requests).toHaveLength(100)
    expect([...client.sent.matchAll(/\r\n\r\n(\/\d+)/g)].map((match) => match[1])).toEqual(targets)
    expect(client.machine.idle).toBe(true)
  })

  test('reads on behind a request at work, and answers what came then', () => {
    const client = new Client().feed(get('/1'), get('/2').slice(0, 9), get('/2').slice(9) + post('x'))
    expect(client.requests).toHaveLength(1)
    for (let i = 0; i < 3; i++) client.respond(ok())
    expect(client.sent).toBe(OK + OK + OK)
  })

  test('answers nothing behind a request that closes it, and says that more may be coming', () => {
    const client = new Client({ handler: ok }).feed(get('/', 'Connection: close') + get())
    expect(client.sent).toBe(OK_CLOSE)
    expect(client.machine).toMatchObject({ closing: true, lingering: true })
  })

  test('whose client has stopped sending still answers what it sent', () => {
    const client = new Client().feed(get() + get()).end()
    client.respond(ok())
    client.respond(ok())
    expect(client.sent).toBe(OK + OK_CLOSE)
    expect(client.machine.closing).toBe(true)
  })

  test('whose client stops sending before whole requests were taken answers them', () => {
    const client = new Client({ handler: ok })
    const bytes = Buffer.from(get() + get())
    client.machine.receive(bytes, bytes.length)
    client.end()
    expect(client.sent).toBe(OK + OK_CLOSE)
  })

  test.each(['', '\r', 'GET / HT', get().slice(0, -1)])(
    'ends without an answer where the client stops sending behind %j',
    (bytes) => {
      const client = new Client({ handler: ok }).feed(bytes).end()
      expect(client.sent).toBe('')
      expect(client.machine.closing).toBe(true)
    },
  )

  test('that is drained closes at once when idle, behind the answer when busy', () => {
    const idle = new Client()
    idle.machine.drain()
    expect(idle.machine.closing).toBe(true)
    const busy = new Client().feed(get())
    busy.machine.drain()
    expect(busy.machine).toMatchObject({ closing: false, draining: true })
    busy.respond(ok())
    expect(busy.sent).toBe(OK_CLOSE)
    expect(busy.machine.closing).toBe(true)
  })

  test('tells the app of a client that leaves, and sends it nothing', () => {
    const client = new Client().feed(get())
    const { signal } = client.requests[0]!
    client.machine.vanish()
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toMatchObject({ name: 'AbortError' })
    client.respond(ok())
    expect(client.sent).toBe('')
    expect(client.machine).toMatchObject({ closing: true, busy: false })
  })

  test('tells the app of a client that stops sending', () => {
    const client = new Client().feed(get())
    const { signal } = client.requests[0]!
    client.end()
    expect(signal.aborted).toBe(true)
    client.respond(ok())
    expect(client.sent).toBe(OK_CLOSE)
  })

  test('is ended by its driver with a status of its choice', () => {
    const client = new Client().feed('GET /')
    client.machine.refuse(408)
    client.end()
    expect(statuses(client.sent)).toEqual([408])
  })
})

describe('gathering', () => {
  const body = 'x'.repeat(300)
  const chunked = `${head('POST', '/', 'Transfer-Encoding: chunked')}64\r\n${body.slice(0, 100)}\r\n`

  test.each([
    ['a request without a body', get()],
    ['a body of known length', post(body)],
    ['a chunked body', `${chunked}0\r\nX: 1\r\n\r\n`],
  ])('gives %s when it is whole', (_title, bytes) => {
    const client = new Client({ gather: 65_536 }).trickle(bytes.slice(0, -1))
    expect(client.requests).toHaveLength(0)
    expect(client.machine).toMatchObject({ wantsInput: true, idle: false, unparsed: bytes.length - 1 })
    client.feed(bytes.slice(-1))
    expect(client.requests).toHaveLength(1)
    expect(client.machine.receivingBody).toBe(false)
  })

  test('gives a request when enough of it has come', () => {
    const bytes = post(body)
    const client = new Client({ gather: 200 }).feed(bytes.slice(0, 199))
    expect(client.requests).toHaveLength(0)
    client.feed(bytes.slice(199, 200))
    expect(client.requests).toHaveLength(1)
  })

  test('never waits for a body that the client will not send before it is told to', () => {
    expect(
      new Client({ gather: 65_536 }).feed(head('POST', '/', 'Content-Length: 3', 'Expect: 100-continue')).requests,
    ).toHaveLength(1)
  })

  test('refuses a malformed chunk without giving the request', () => {
    const client = new Client({ gather: 65_536 }).feed(chunked, 'zz')
    expect(client.requests).toHaveLength(0)
    expect(statuses(client.sent)).toEqual([400])
  })

  test.each([0, 65_536])('hands what is not a whole request to another machine (gather %i)', async (gather) => {
    const bytes = get() + post(body)
    for (const split of [0, 3, 30, get().length, get().length + 5, bytes.length - 1]) {
      const one = new Client({ gather: 65_536, handler: ok }).feed(bytes.slice(0, split))
      const unparsed = one.machine.takeUnparsed()
      expect(one.machine).toMatchObject({ unparsed: 0, idle: true })
      const two = new Client({ gather, handler: ok })
      if (unparsed !== undefined) two.feed(unparsed)
      two.feed(bytes.slice(split))
      expect(one.sent + two.sent).toBe(OK + OK)
      expect(one.feed(get()).sent).toContain(OK)
    }
  })
})
