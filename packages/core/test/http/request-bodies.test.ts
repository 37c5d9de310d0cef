import { BODY_HIGH_WATER, DISCARD_LIMIT } from '@cs/core/http'
import { describe, expect, test } from 'vitest'
import { Client, chunkedPost, get, head, OK, OK_CLOSE, ok, post, quiet, refusal, statuses } from './driver.js'

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'
const EXPECTING = head('POST', '/', 'Content-Length: 5', 'Expect: 100-continue')

describe('a body', () => {
  test.each([
    ['none', get(), ''],
    ['of length 0', post(''), ''],
    ['of known length', post('hello'), 'hello'],
    ['of known length with leading zeros', `${head('POST', '/', 'Content-Length: 0005')}hello`, 'hello'],
    ['of known length and blanks around it', `${head('POST', '/', 'Content-Length: \t 5 \t')}hello`, 'hello'],
    ['of no chunks', chunkedPost('0\r\n\r\n'), ''],
    ['of chunks', chunkedPost('5\r\nhello\r\n1\r\n,\r\n00A\r\n0123456789\r\n000\r\n\r\n'), 'hello,0123456789'],
    ['with chunk extensions', chunkedPost('1;a;b=c;d="e;\\"\r"\r\nx\r\n0\r\n\r\n'.replace('\r"', '"')), 'x'],
    ['with blanks around chunk extensions', chunkedPost('1 \t;\ta = b ; c = "" ;d\r\nx\r\n0;e\r\n\r\n'), 'x'],
    ['with CR LF inside', chunkedPost('4\r\n\r\n\r\n\r\n0\r\n\r\n'), '\r\n\r\n'],
    ['with trailers', chunkedPost('1\r\nx\r\n0\r\nContent-Length: 5\r\nX:\r\ny: \t z \r\n\r\n'), 'x'],
    ['with the coding in capitals', `${head('POST', '/', 'transfer-ENCODING:\tChunked ')}1\r\nx\r\n0\r\n\r\n`, 'x'],
  ])('%s arrives whole or byte by byte, and the next request behind it', async (_title, bytes, text) => {
    for (const pieces of [[bytes + get()], [...bytes, get()]]) {
      const texts: string[] = []
      const handler = async (request: Request) => {
        texts.push(await request.text())
        return ok()
      }
      const client = new Client({ handler }).feed(...pieces)
      await quiet()
      expect(texts).toEqual([text, ''])
      expect(client.sent).toBe(OK + OK)
    }
  })

  test('is read as JSON, bytes, a stream, and a tee', async () => {
    const client = new Client().feed(post('{"a":1}'))
    expect(await client.requests[0]!.json()).toEqual({ a: 1 })
    client.respond(ok())
    client.feed(post('bytes'))
    expect(Buffer.from(await client.requests[1]!.arrayBuffer()).toString()).toBe('bytes')
    client.respond(ok())
    client.feed(post('stream'))
    expect(await new Response(client.requests[2]!.body).text()).toBe('stream')
    client.respond(ok())
    client.feed(post('teed').slice(0, -2))
    const [one, two] = client.requests[3]!.body!.tee()
    const both = Promise.all([new Response(one).text(), new Response(two).text()])
    await quiet()
    client.feed('ed')
    expect(await both).toEqual(['teed', 'teed'])
  })

  test('is there only where the request has one', () => {
    const bodies = [get(), post(''), post('x'), chunkedPost('0\r\n\r\n'), post('x').replace('POST', 'GET')].map(
      (bytes) => new Client().feed(bytes).requests[0]!.body !== null,
    )
    expect(bodies).toEqual([false, false, true, true, false])
  })

  test('streams as it arrives, into readers with buffers of their own too', async () => {
    const client = new Client().feed(chunkedPost(''))
    const reader = client.requests[0]!.body!.getReader({ mode: 'byob' })
    const first = reader.read(new Uint8Array(3))
    await quiet()
    client.feed('5\r\nhello\r\n')
    expect(Buffer.from((await first).value!).toString()).toBe('hel')
    expect(Buffer.from((await reader.read(new Uint8Array(3))).value!).toString()).toBe('lo')
    const last = reader.read(new Uint8Array(3))
    await quiet()
    client.feed('0\r\n\r\n')
    expect((await last).done).toBe(true)
  })

  test('that nobody reads pauses reading at the high-water mark, and reading it goes on', async () => {
    const client = new Client().feed(head('POST', '/', 'Content-Length: 200000'), 'x'.repeat(BODY_HIGH_WATER - 1))
    expect(client.machine.wantsInput).toBe(true)
    client.feed('x')
    expect(client.machine.wantsInput).toBe(false)
    const reader = client.requests[0]!.body!.getReader()
    await reader.read()
    await quiet()
    expect(client.machine.wantsInput).toBe(true)
    expect(client.changes).toBeGreaterThan(0)
  })

  test('that is read whole never pauses reading', async () => {
    const client = new Client().feed(head('POST', '/', 'Content-Length: 200000'), 'x'.repeat(100_000))
    const text = client.requests[0]!.text()
    expect(client.machine).toMatchObject({ wantsInput: true, demanded: true })
    client.feed('x'.repeat(100_000))
    expect(await text).toBe('x'.repeat(200_000))
    expect(client.machine).toMatchObject({ wantsInput: false, demanded: false })
  })

  test('whose rest is here already needs no more input when its reader makes room', async () => {
    const chunk = `2710\r\n${'x'.repeat(10_000)}\r\n`
    const client = new Client().feed(chunkedPost(`${chunk.repeat(10)}0\r\n\r\n`))
    expect(client.machine.unparsed).toBeGreaterThan(0)
    expect((await new Response(client.requests[0]!.body).text()).length).toBe(100_000)
    expect(client.machine).toMatchObject({ unparsed: 0, receivingBody: false })
  })

  test('whose rest is here is whole though the client has stopped sending', async () => {
    const chunk = `2710\r\n${'x'.repeat(10_000)}\r\n`
    const client = new Client().feed(chunkedPost(`${chunk.repeat(10)}0\r\n\r\n`)).end()
    expect((await client.requests[0]!.text()).length).toBe(100_000)
  })

  test('of tiny chunks takes memory for its bytes, not for its chunks', async () => {
    const client = new Client().feed(chunkedPost('1\r\nx\r\n'.repeat(50_000)))
    const text = client.requests[0]!.text()
    client.feed('0\r\n\r\n')
    expect(await text).toBe('x'.repeat(50_000))
  })

  test('keeps its bytes though the buffer they came in is used again', async () => {
    const client = new Client().feed(post('hello').slice(0, -2))
    client.feed('lo')
    expect(await client.requests[0]!.text()).toBe('hello')
  })
})

describe('an unread body', () => {
  test('is thrown away behind the answer, and the next request answered', () => {
    const body = 'x'.repeat(DISCARD_LIMIT)
    const client = new Client({ handler: ok }).feed(head('POST', '/', `Content-Length: ${body.length}`), body + get())
    expect(client.sent).toBe(OK + OK)
  })

  test('is thrown away where it waits at the high-water mark', () => {
    const client = new Client().feed(head('POST', '/', 'Content-Length: 100000'), 'x'.repeat(70_000))
    client.respond(ok())
    expect(client.machine).toMatchObject({ closing: false, wantsInput: true, receivingBody: true })
    client.feed('x'.repeat(30_000) + get())
    expect(client.requests).toHaveLength(2)
  })

  test('that is longer than the limit closes the connection', () => {
    const client = new Client({ handler: ok }).feed(head('POST', '/', `Content-Length: ${DISCARD_LIMIT + 1}`))
    expect(client.sent).toBe(OK_CLOSE)
    expect(client.machine).toMatchObject({ closing: true, lingering: true })
  })

  test('in chunks beyond the limit closes the connection', () => {
    const client = new Client({ handler: ok }).feed(chunkedPost(''), `40000\r\n${'x'.repeat(DISCARD_LIMIT)}\r\n`)
    expect(client.machine.closing).toBe(false)
    client.feed('1\r\nx\r\n')
    expect(client.sent).toBe(OK)
    expect(client.machine.closing).toBe(true)
  })

  test('fails for whoever still streams it behind the answer', async () => {
    const client = new Client().feed(head('POST', '/', 'Content-Length: 10'))
    const read = client.requests[0]!.body!.getReader().read()
    await quiet()
    client.respond(ok())
    await expect(read).rejects.toThrow('the response was complete')
    expect(client.feed(`0123456789${get()}`).requests).toHaveLength(2)
  })

  test('goes on to arrive behind the answer for whoever asked for all of it', async () => {
    const client = new Client().feed(head('POST', '/', 'Content-Length: 400000'))
    const text = client.requests[0]!.text()
    client.respond(ok())
    client.feed('x'.repeat(400_000) + get())
    expect((await text).length).toBe(400_000)
    expect(client.requests).toHaveLength(2)
  })

  test('that the app cancels is thrown away', async () => {
    const client = new Client().feed(chunkedPost(`5\r\nhello\r\n`))
    await client.requests[0]!.body!.cancel()
    client.feed(`${'20000\r\n'}${'x'.repeat(0x20000)}\r\n0\r\n\r\n${get()}`)
    client.respond(ok())
    expect(client.requests).toHaveLength(2)
  })
})

describe('Expect: 100-continue', () => {
  test('is answered when the body is first read, and once', async () => {
    const client = new Client().feed(EXPECTING)
    await quiet()
    expect(client.sent).toBe('')
    const text = client.requests[0]!.text()
    expect(client.sent).toBe(CONTINUE)
    client.feed('he')
    await quiet()
    client.feed('llo')
    expect(await text).toBe('hello')
    client.respond(ok())
    expect(client.sent).toBe(CONTINUE + OK)
    expect(client.machine.closing).toBe(false)
  })

  test('is answered for each request that asks', async () => {
    const client = new Client({ handler: (request) => request.text().then(ok) })
    for (let i = 0; i < 2; i++) {
      client.feed(EXPECTING)
      await quiet()
      client.feed('hello')
      await quiet()
    }
    expect(client.sent).toBe((CONTINUE + OK).repeat(2))
  })

  test('is answered before a response that is made of the body', async () => {
    const client = new Client({ handler: (request) => new Response(request.body) }).feed(EXPECTING)
    await quiet()
    client.feed('hello')
    await quiet()
    expect(statuses(client.sent)).toEqual([100, 200])
    expect(client.sent).toMatch(/\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/)
  })

  test('is never answered behind the start of the response', async () => {
    const client = new Client().feed(EXPECTING)
    client.respond(new Response(new ReadableStream()))
    client.requests[0]!.text().catch(() => {})
    await quiet()
    expect(statuses(client.sent)).toEqual([200])
  })

  test.each([
    ['the body came without waiting', `${EXPECTING}h`],
    ['it is HTTP/1.0', EXPECTING.replace('HTTP/1.1', 'HTTP/1.0')],
    ['there is no body', get('/', 'Expect: 100-continue')],
  ])('is ignored where %s', async (_title, bytes) => {
    const client = new Client().feed(bytes)
    client.requests[0]!.text().catch(() => {})
    await quiet()
    expect(client.sent).toBe('')
  })

  test.each(['Expect: 100-CONTINUE', 'expect:100-continue \t'])('may be spelt %s', async (field) => {
    const client = new Client().feed(head('POST', '/', 'Content-Length: 5', field))
    client.requests[0]!.text().catch(() => {})
    expect(client.sent).toBe(CONTINUE)
  })

  test('closes the connection where the body is not read, since it may come or not', () => {
    const client = new Client({ handler: ok }).feed(EXPECTING, get())
    expect(client.sent).toBe(OK_CLOSE)
    expect(client.machine).toMatchObject({ closing: true, lingering: true })
  })

  test('closes the connection where the body is cancelled', async () => {
    const client = new Client().feed(EXPECTING)
    await client.requests[0]!.body!.cancel()
    client.respond(ok())
    expect(client.sent).toBe(OK_CLOSE)
  })

  test('of a body over the limit is refused before it is sent', () => {
    const client = new Client({ limits: { body: 4 } }).feed(EXPECTING)
    expect(client.sent).toBe(refusal(413, 'Content Too Large'))
  })
})

describe('a client that leaves', () => {
  test.each(['end', 'vanish'] as const)('fails the body that is being read (%s)', async (how) => {
    for (const read of [
      (request: Request) => request.text(),
      (request: Request) => new Response(request.body).text(),
    ]) {
      const client = new Client().feed(post('hello').slice(0, -1))
      const request = client.requests[0]!
      const { signal } = request
      const text = read(request)
      await quiet()
      if (how === 'end') client.end()
      else client.machine.vanish()
      await expect(text).rejects.toThrow()
      expect(signal.aborted).toBe(true)
      client.respond(ok())
      expect(client.sent).toBe('')
      expect(client.machine.closing).toBe(true)
    }
  })

  test('fails the body that is read later', async () => {
    const client = new Client().feed(post('hello').slice(0, -1)).end()
    await expect(client.requests[0]!.text()).rejects.toThrow('closed the connection')
    expect(client.requests[0]!.signal.aborted).toBe(true)
  })

  test('does no harm to a body that is whole', async () => {
    const client = new Client().feed(post('hello'))
    client.machine.vanish()
    expect(await client.requests[0]!.text()).toBe('hello')
  })
})
