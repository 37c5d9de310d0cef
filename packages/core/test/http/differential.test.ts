import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { LightResponse } from '@cs/core/http'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Client, chunkedPost, get, head, quiet, statuses } from './driver.js'
import { mutated, seed, valid } from './generated.js'

console.log(`fast-check seed of the comparison with node:http: ${seed} (repeat with FC_SEED=${seed})`)

/** What became of the bytes: the requests whose body came whole, and whether the server refused something in the end. */
interface Outcome {
  readonly requests: readonly Seen[]
  readonly refused: boolean
}

/** Ours tells besides what stands behind the last request that was answered. */
interface OurOutcome extends Outcome {
  readonly rest: string
}

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
}

async function ours(bytes: string): Promise<OurOutcome> {
  const requests: Seen[] = []
  let rest = bytes
  const client = new Client({
    handler: async (request) => {
      const { method, url } = request
      const body = Buffer.from(await request.arrayBuffer()).toString('latin1')
      requests.push({ method, url, headers: [...request.headers], body: hasBody(method) ? body : '' })
      rest = bytes.slice(bytes.length - client.machine.unparsed)
      return new LightResponse('ok')
    },
  }).feed(bytes)
  await quiet()
  client.end()
  await quiet()
  return {
    rest,
    requests,
    refused: statuses(client.sent).some((status) => status >= 400),
  }
}

/** GET and HEAD have no body in the Fetch standard, whatever was sent. */
function hasBody(method: string): boolean {
  return method !== 'GET' && method !== 'HEAD'
}

const server: Server = createServer()
let requests: Seen[] = []
let refused = false

beforeAll(async () => {
  Object.assign(server, { httpAllowHalfOpen: true }) // the client says all it has to say and then only listens
  server.on('request', (request: IncomingMessage, response) => {
    let body = ''
    request.setEncoding('latin1').on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      requests.push({ ...seen(request), body: hasBody(request.method!) ? body : '' })
      response.end('ok')
    })
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code !== 'HPE_INVALID_EOF_STATE') refused = true // the client stopped in the middle, which we answer with a close
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})

afterAll(() => {
  server.close()
  server.closeAllConnections()
})

function seen(request: IncomingMessage): Omit<Seen, 'body'> {
  const { method, url, rawHeaders } = request
  const headers = new Headers()
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!)
  const absolute = url!.startsWith('/')
    ? `http://${request.headers.host || 'localhost'}${url}`
    : url === '*'
      ? `http://${request.headers.host}/`
      : url!
  return { method: method!, url: URL.canParse(absolute) ? new URL(absolute).href : url!, headers: [...headers] }
}

async function theirs(bytes: string): Promise<Outcome> {
  requests = []
  refused = false
  const { port } = server.address() as AddressInfo
  const received = await new Promise<string>((resolve) => {
    let text = ''
    const socket: Socket = connect({ port, host: '127.0.0.1' }, () => socket.end(bytes, 'latin1'))
    socket.setEncoding('latin1').on('data', (chunk) => (text += chunk))
    socket.on('error', () => {}).on('close', () => resolve(text))
  })
  await quiet()
  return { requests, refused: refused || statuses(received).some((status) => status >= 400) }
}

/** The parts of a message that the rules below look at; what stands behind the first empty line is no field. */
function partsOf(bytes: string) {
  const [line = '', ...lines] = bytes.replace(/^(?:\r\n)+/, '').split('\r\n')
  const end = lines.indexOf('')
  return { line, fields: end < 0 ? lines : lines.slice(0, end) }
}

const KNOWN_METHODS = new Set('GET POST PUT HEAD DELETE OPTIONS PATCH REPORT PROPFIND SEARCH PURGE M-SEARCH'.split(' '))

/** A chunk with extensions that any parser takes. */
const PLAIN_EXTENSIONS = /^[\da-f]+(?:;[\w!#$%&'*+.^`|~-]+(?:=(?:[\w!#$%&'*+.^`|~-]+|"[^"\\\0\x7f]*"))?)*$/i

interface Difference {
  readonly title: string
  /** Who says that we are right; the sections are cited in docs/http-conformance.md too. */
  readonly rule: string
  readonly example: string
  /** Whether we refuse the example. */
  readonly refused: boolean
  explains(parts: ReturnType<typeof partsOf>, bytes: string): boolean
}

/** Where node:http 20 does something else and is wrong, or takes a freedom that the RFC gives and we do not need. */
const DIFFERENCES: readonly Difference[] = [
  {
    title: 'a major version other than 1 is refused with 505; node:http serves it as HTTP/1.1',
    rule: 'RFC 9110 §15.6.6',
    example: 'GET / HTTP/2.0\r\nHost: a\r\n\r\n',
    refused: true,
    explains: ({ line }) => /HTTP\/[02-9]\.\d$/.test(line),
  },
  {
    title: 'a higher minor version is served; node:http refuses it',
    rule: 'RFC 9110 §2.5',
    example: 'GET / HTTP/1.2\r\nHost: a\r\n\r\n',
    refused: false,
    explains: ({ line }) => /HTTP\/1\.[2-9]$/.test(line),
  },
  {
    title: 'a request line without version is refused; node:http serves HTTP/0.9',
    rule: 'RFC 9112 §3',
    example: 'GET /\r\n\r\n',
    refused: true,
    explains: ({ line }) => line.includes('\n') || !/ HTTP\/\d\.\d$/.test(line),
  },
  {
    title: 'a request line with more blanks than its two is refused; node:http skips them',
    rule: 'RFC 9112 §3',
    example: 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
    refused: true,
    explains: ({ line }) => / {2}|\t/.test(line),
  },
  {
    title: 'a bare LF or CR before a request line is refused; node:http skips it',
    rule: 'RFC 9112 §2.2',
    example: `\n${get()}`,
    refused: true,
    explains: (_, bytes) => /^(?:\r\n)*(?:\n|\r(?!\n))/.test(bytes),
  },
  {
    title: 'a method that we have never heard of is for the app to judge; node:http refuses it',
    rule: 'RFC 9110 §9.1',
    example: 'BREW / HTTP/1.1\r\nHost: a\r\n\r\n',
    refused: false,
    explains: ({ line }) => !KNOWN_METHODS.has(line.split(' ')[0]!),
  },
  {
    title: 'a fragment in the target is refused; node:http hands it to the app',
    rule: 'RFC 9112 §3.2',
    example: get('/a#b'),
    refused: true,
    explains: ({ line }) => line.includes('#'),
  },
  {
    title: 'a target that is neither a path nor an http URL is refused; node:http hands it to the app',
    rule: 'RFC 9112 §3.2',
    example: get('htp://a/'),
    refused: true,
    explains: ({ line }) => /^\S+ (?!\/|https?:\/\/[a-z.]+(?::\d{0,4})?(?:[/?]|$| ))/.test(line),
  },
  {
    title: 'two Hosts are refused; node:http takes the first',
    rule: 'RFC 9112 §3.2',
    example: get('/', 'Host: b'),
    refused: true,
    explains: ({ fields }) => fields.filter((field) => /^host:/i.test(field)).length > 1,
  },
  {
    title: 'a Host that is none is refused; node:http hands it to the app',
    rule: 'RFC 9112 §3.2',
    example: 'GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n',
    refused: true,
    explains: ({ fields }) =>
      fields.some((field) => /^host:/i.test(field) && !/^host:[ \t]*[a-z.]*(?::\d{0,4})?[ \t]*$/i.test(field)),
  },
  {
    title: 'Transfer-Encoding in HTTP/1.0 is refused; node:http decodes it',
    rule: 'RFC 9112 §6.1',
    example: chunkedPost('0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0'),
    refused: true,
    explains: ({ line, fields }) =>
      line.endsWith('HTTP/1.0') && fields.some((field) => /^transfer-encoding:/i.test(field)),
  },
  {
    title: 'a coding other than chunked is refused; node:http hands the coded bytes to the app',
    rule: 'RFC 9112 §6.1',
    example: `${head('POST', '/', 'Transfer-Encoding: gzip, chunked')}0\r\n\r\n`,
    refused: true,
    explains: ({ fields }) =>
      fields.some((field) => /^transfer-encoding:(?![ \t]*chunked[ \t]*$)/i.test(field)) ||
      fields.filter((field) => /^transfer-encoding:/i.test(field)).length > 1,
  },
  {
    title:
      'an unknown expectation is refused before the rest of the request comes, in HTTP/1.0 too; node:http waits for it',
    rule: 'RFC 9110 §10.1.1',
    example: head('POST', '/', 'Expect: x').slice(0, -2),
    refused: true,
    explains: ({ fields }) => fields.some((field) => /^expect:/i.test(field)),
  },
  {
    title:
      'a malformed chunk extension is refused, and blanks around its parts are not; with node:http it is the other way round',
    rule: 'RFC 9112 §7.1.1',
    example: chunkedPost('1;=a\r\nx\r\n0\r\n\r\n'),
    refused: true,
    explains: (_, bytes) =>
      bytes.split('\r\n').some((line) => /^[\da-f]+[ \t]*;/i.test(line) && !PLAIN_EXTENSIONS.test(line)),
  },
  {
    title: 'a tab behind a length or coding is a blank; node:http refuses it',
    rule: 'RFC 9110 §5.6.3',
    example: `${head('POST', '/', 'Transfer-Encoding: chunked\t')}0\r\n\r\n`,
    refused: false,
    explains: ({ fields }) => fields.some((field) => /^(?:transfer-encoding|content-length):.*\t/i.test(field)),
  },
  {
    title: 'the body of a GET or HEAD is not waited for, since no app can ask for it; in this test node:http waits',
    rule: 'RFC 9110 §9.3.1',
    example: get('/', 'Content-Length: 5'),
    refused: false,
    explains: ({ line, fields }) =>
      /^(?:GET|HEAD) /.test(line) && fields.some((field) => /^(?:transfer-encoding|content-length):/i.test(field)),
  },
  {
    title: 'what stands behind a request that closes the connection is not looked at; node:http refuses it',
    rule: 'RFC 9112 §9.6',
    example: `${get('/', 'Connection: close')}\0`,
    refused: false,
    explains: ({ line, fields }) =>
      line.endsWith('HTTP/1.0') || fields.some((field) => /^connection:.*close/i.test(field)),
  },
]

function isListed(bytes: string): boolean {
  return DIFFERENCES.some((difference) => difference.explains(partsOf(bytes), bytes))
}

test('node:http takes every valid request as we do', async () => {
  const property = fc.asyncProperty(fc.array(valid, { minLength: 1, maxLength: 3 }), async (pipeline) => {
    const bytes = pipeline.map((request) => request.bytes).join('')
    const { rest, ...us } = await ours(bytes)
    expect(rest).toBe('')
    expect(us).toEqual(await theirs(bytes))
    expect(us.requests).toHaveLength(pipeline.length)
  })
  await fc.assert(property, { seed, numRuns: 250 })
})

test('node:http decides on every mutated request as we do, but for the differences that are listed', async () => {
  const property = fc.asyncProperty(mutated, async (bytes) => {
    const { rest, ...us } = await ours(bytes)
    if (isListed(bytes) || (rest !== '' && isListed(rest))) return
    expect(us, JSON.stringify(bytes)).toEqual(await theirs(bytes))
  })
  await fc.assert(property, { seed, numRuns: 1000 })
})

describe('where we differ from node:http', () => {
  test.each(DIFFERENCES)('$title ($rule)', async ({ example, refused, explains }) => {
    expect(explains(partsOf(example), example)).toBe(true)
    const us = await ours(example)
    expect(us.refused).toBe(refused)
    expect(us.requests).toHaveLength(refused ? 0 : 1)
  })
})
