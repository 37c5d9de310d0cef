/** Requests made by fast-check: valid ones, and ones that somebody has tampered with. */

import fc from 'fast-check'

/** The seed of a run: given by FC_SEED to repeat one, else new; it is printed. */
export const seed: number = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31)

const TCHAR = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
const of = (characters: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...characters), minLength, maxLength })

const method = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH') },
  { weight: 1, arbitrary: fc.constantFrom('REPORT', 'PROPFIND', 'SEARCH', 'PURGE', 'M-SEARCH') },
)
const target = fc.oneof(
  of('abc/.%2e?&=~-', 0, 20).map((path) => `/${path}`),
  of('abc/', 0, 8).map((path) => `http://example.com:8080/${path}`),
)
const value = fc.oneof(of('abcXYZ019 ,;="()/\t\xe9\xff', 0, 20), of('ab', 50, 300))
/** Names that mean nothing to a server; x- keeps them from meaning something by chance. */
const field = fc
  .tuple(of(TCHAR, 1, 8), fc.constantFrom('', ' ', '\t', '  '), value, fc.constantFrom('', ' ', '\t'))
  .map(([name, before, text, after]) => `x-${name}:${before}${text}${after}`)
const token = of(TCHAR, 1, 5)
const extension = fc.oneof(
  token.map((name) => `;${name}`),
  fc.tuple(token, token).map(([name, text]) => `;${name}=${text}`),
  fc.tuple(token, of('ab ;\t,', 0, 5)).map(([name, text]) => `;${name}="${text}"`),
)
const body = of('ab\r\n0:;\0\xff', 0, 60)

interface Framed {
  readonly fields: readonly string[]
  readonly bytes: string
  readonly text: string
}

const framed: fc.Arbitrary<Framed> = fc.oneof(
  fc.constant({ fields: [], bytes: '', text: '' }),
  body.map((text) => ({ fields: [`Content-Length: ${text.length}`], bytes: text, text })),
  fc
    .record({
      chunks: fc.array(
        fc.tuple(
          body.filter((text) => text !== ''),
          fc.array(extension, { maxLength: 2 }),
          fc.boolean(),
        ),
        { maxLength: 4 },
      ),
      trailers: fc.array(field, { maxLength: 2 }),
      name: fc.constantFrom('Transfer-Encoding: chunked', 'transfer-encoding:CHUNKED'),
    })
    .map(({ chunks, trailers, name }) => ({
      fields: [name],
      text: chunks.map(([text]) => text).join(''),
      bytes: `${chunks
        .map(([text, extensions, capital]) => {
          const size = text.length.toString(16)
          return `${capital ? size.toUpperCase() : `0${size}`}${extensions.join('')}\r\n${text}\r\n`
        })
        .join('')}0\r\n${trailers.map((line) => `${line}\r\n`).join('')}\r\n`,
    })),
)

export interface Generated {
  readonly bytes: string
  readonly method: string
  readonly target: string
  readonly body: string
}

/** A valid request that keeps its connection. */
export const valid: fc.Arbitrary<Generated> = fc
  .record({
    method,
    target,
    framed,
    fields: fc.array(field, { maxLength: 4 }),
    hostAt: fc.nat(4),
    keepAlive: fc.boolean(),
  })
  .map(({ method, target, framed, fields, hostAt, keepAlive }) => {
    const lines = [...fields, ...framed.fields, ...(keepAlive ? ['Connection: keep-alive'] : [])]
    lines.splice(hostAt, 0, 'Host: example.com:8080')
    const head = `${method} ${target} HTTP/1.1\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
    return { bytes: head + framed.bytes, method, target, body: framed.text }
  })

/** Cuts a text at some of its places. */
export function pieces(text: string, cuts: readonly number[]): string[] {
  const at = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((from, i) => text.slice(from, at[i] ?? text.length)).filter((piece) => piece !== '')
}

const NASTY = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '\x7f',
  '\xff',
  '#',
  '@',
  '0',
  'f',
  '-',
  '+',
  '"',
  '\r\n ',
  '\r\n\r\n',
]
const LINES = [
  'Host: b',
  'Host : a',
  'Content-Length: 3',
  'Content-Length: +3',
  'content-length: 3, 3',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, x',
  'X: a\rb',
  'X: a\nb',
  ' folded',
  'nothing',
  ': x',
  'X\0: a',
  'X: \0',
  'Expect: x',
  'Connection: close',
]

const mutation: fc.Arbitrary<(text: string) => string> = fc.oneof(
  fc.tuple(fc.nat(), fc.constantFrom(...NASTY)).map(
    ([at, extra]) =>
      (text: string) =>
        insert(text, at % (text.length + 1), extra),
  ),
  fc.nat().map((at) => (text: string) => text.slice(0, at % text.length) + text.slice((at % text.length) + 1)),
  fc.tuple(fc.nat(), fc.constantFrom(...NASTY)).map(([at, other]) => (text: string) => {
    const i = at % text.length
    return text.slice(0, i) + other + text.slice(i + 1)
  }),
  fc.constantFrom(...LINES).map((line) => (text: string) => text.replace('\r\n', `\r\n${line}\r\n`)),
  fc
    .constantFrom('HTTP/1.0', 'HTTP/2.0', 'HTTP/1.2', 'HTTP/1.10', 'http/1.1', 'HTTP/0.9')
    .map((version) => (text: string) => text.replace('HTTP/1.1', version)),
  fc.constant((text: string) => text.replace(/Host:[^\r]*\r\n/, '')),
  fc.constant((text: string) => text.replace('\r\n', '\n')),
)

function insert(text: string, at: number, extra: string): string {
  return text.slice(0, at) + extra + text.slice(at)
}

/** A valid request with one to three changes. */
export const mutated: fc.Arbitrary<string> = fc
  .tuple(valid, fc.array(mutation, { minLength: 1, maxLength: 3 }))
  .map(([{ bytes }, mutations]) => mutations.reduce((text, mutate) => (text === '' ? text : mutate(text)), bytes))

/** Anything at all, made mostly of what means something. */
export const noise: fc.Arbitrary<string> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc
    .array(
      fc.constantFrom(
        ...NASTY,
        ...LINES,
        'GET',
        'POST',
        '/',
        '*',
        'HTTP/1.1',
        'Host',
        'a',
        '5',
        'Content-Length',
        'Transfer-Encoding',
        'chunked',
      ),
      { maxLength: 40 },
    )
    .map((parts) => parts.join('')),
)
