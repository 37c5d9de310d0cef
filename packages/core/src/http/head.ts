/**
 * Parses the head of a request: request line and field section (RFC 9112 §3 and §5), in one pass over the bytes.
 *
 * Whatever is there is checked at once, so a malformed prefix is refused before its end arrives, and in the same way
 * however the bytes were split. What was read of an incomplete head stays in its {@link Head}, and the next call goes on
 * from there. Nothing is decoded but the method, the target, the host and what frames the message; the field section
 * stays one string until an app asks for a field.
 */

import './buffer.js'
import { COLON, CR, FIELD_VALUE, LF, PLAIN_TARGET, SPACE, TAB, TOKEN } from './grammar.js'
import type { HttpLimits } from './limits.js'

/** What a request head said; filled by {@link parseHead}, which may use it again once it has returned an end or a refusal. */
export interface Head {
  /** '' until it is known. */
  method: string
  /** The request-target as sent (RFC 9112 §3.2). */
  target: string
  /** True where the target needs no URL parser to become part of a normalised URL. */
  plainTarget: boolean
  /** The value of Host, '' where there was none; whether it names a host at all is not judged here. */
  host: string
  /** The field section with its closing empty line, one latin1 string, every line of it checked. */
  fields: string
  /** 0 for HTTP/1.0, otherwise 1. */
  minor: number
  /** What the Connection field and the version ask for (RFC 9112 §9.3). */
  keepAlive: boolean
  /** Content-Length, or -1 where there was none. */
  contentLength: number
  chunked: boolean
  expectContinue: boolean
  /** How far an incomplete head has been read, in bytes from its start. */
  readonly progress: Progress
}

interface Progress {
  /** Where the field section starts; 0 until the request line is whole. */
  fields: number
  /** Where the first field line starts that is not whole yet. */
  line: number
  /** What has been looked at, but for the last byte, and found good. */
  checked: number
  /** Field lines that are whole. */
  count: number
  seen: number
  coding: string
}

/** Makes the record that {@link parseHead} fills. */
export function emptyHead(): Head {
  return {
    method: '',
    target: '',
    plainTarget: true,
    host: '',
    fields: '',
    minor: 1,
    keepAlive: true,
    contentLength: -1,
    chunked: false,
    expectContinue: false,
    progress: { fields: 0, line: 0, checked: 0, count: 0, seen: 0, coding: '' },
  }
}

/** What {@link parseHead} returns while the head is not yet whole. */
export const INCOMPLETE = 0

const SEEN_HOST = 1
const SEEN_LENGTH = 2
const SEEN_CODING = 4
const SEEN_CLOSE = 8
const SEEN_KEEP_ALIVE = 16

/**
 * Reads a head that starts at `bytes[start]` into `head`, from where the last call with this head ended.
 * @returns the offset behind the head, or {@link INCOMPLETE}, or a negative status code with which to refuse it.
 */
export function parseHead(bytes: Buffer, start: number, end: number, limits: HttpLimits, head: Head): number {
  const { progress } = head
  if (progress.fields === 0) {
    head.method = ''
    const fields = parseRequestLine(bytes, start, end, limits, head)
    if (fields <= 0) return fields
    head.host = ''
    head.contentLength = -1
    head.chunked = false
    head.expectContinue = false
    progress.fields = progress.line = fields - start
    progress.checked = progress.count = progress.seen = 0
  }
  const result = parseFields(bytes, start, end, limits, head)
  if (result !== INCOMPLETE) progress.fields = 0
  return result
}

/** method SP request-target SP HTTP-version CRLF (RFC 9112 §3): single spaces, nothing else. */
function parseRequestLine(bytes: Buffer, start: number, end: number, limits: HttpLimits, head: Head): number {
  const last = start + limits.requestLine - VERSION.length - 1 // where the second space may stand at the latest
  const stop = end <= last ? end : last + 1
  let at = start
  while (at < stop && TOKEN[bytes[at]] === 1) at++
  if (at === stop) return at > last ? -414 : INCOMPLETE
  if (at === start || bytes[at] !== SPACE) return -400
  head.method = methodOf(bytes, start, at)
  const target = ++at
  let plain = 1
  let byte = 0
  while (at < stop && (byte = bytes[at]) > SPACE && byte < 127) {
    plain &= PLAIN_TARGET[byte]
    at++
  }
  if (at === stop) return at > last ? -414 : INCOMPLETE
  if (at === target || byte !== SPACE) return -400
  head.target = at - target === 1 && bytes[target] === 47 ? '/' : bytes.latin1Slice(target, at)
  head.plainTarget = plain === 1
  return parseVersion(bytes, at + 1, end, head)
}

/** "HTTP/" DIGIT "." DIGIT CRLF; answers 505 for a major version that is not 1 (RFC 9110 §15.6.6). */
function parseVersion(bytes: Buffer, start: number, end: number, head: Head): number {
  for (let i = 0; i < VERSION.length; i++) {
    if (start + i === end) return INCOMPLETE
    const byte = bytes[start + i]
    const expected = VERSION[i]
    if (expected === DIGIT ? byte < 48 || byte > 57 : byte !== expected) return -400
  }
  if (bytes[start + 5] !== 49) return -505
  head.minor = bytes[start + 7] === 48 ? 0 : 1
  return start + VERSION.length
}

const DIGIT = 0
const VERSION: readonly number[] = [...'HTTP/\0.\0\r\n'].map((character) => character.charCodeAt(0))

function parseFields(bytes: Buffer, start: number, end: number, limits: HttpLimits, head: Head): number {
  const { progress } = head
  const first = start + progress.fields
  const tooLong = first + limits.headerBytes
  const stop = Math.min(end, tooLong)
  const checked = start + progress.checked
  const good = FIELD_VALUE
  let at = start + progress.line
  let line = at
  while (at < stop) {
    line = at
    if (bytes[at] === CR) {
      if (at + 1 === stop) break
      if (bytes[at + 1] !== LF) return -400
      head.fields = bytes.latin1Slice(first, at + 2)
      const status = judge(head, progress.seen, progress.coding)
      return status === 0 ? at + 2 : status
    }
    if (progress.count === limits.headerCount) return -431
    while (at < stop && TOKEN[bytes[at]] === 1) at++
    if (at === stop) break
    if (bytes[at] !== COLON || at === line) return -400 // also whitespace before the colon and obs-fold (RFC 9112 §5.1, §5.2)
    const nameLength = at - line
    at++
    while (at < stop && (bytes[at] === SPACE || bytes[at] === TAB)) at++
    const value = at
    if (checked > at) at = checked
    while (at + 3 < stop && (good[bytes[at]] & good[bytes[at + 1]] & good[bytes[at + 2]] & good[bytes[at + 3]]) === 1)
      at += 4
    while (at < stop && good[bytes[at]] === 1) at++
    if (at === stop) break
    if (bytes[at] !== CR) return -400
    if (at + 1 === stop) break
    if (bytes[at + 1] !== LF) return -400
    const status = readField(bytes, line, nameLength, value, at, head)
    if (status !== 0) return status
    at += 2
    line = at
    progress.count++
  }
  if (stop === tooLong) return -431
  progress.line = line - start
  progress.checked = stop - start - 1
  return INCOMPLETE
}

/** Takes up a whole field line if it concerns the host, the framing or the connection; 0, or a refusal. */
function readField(bytes: Buffer, name: number, nameLength: number, value: number, end: number, head: Head): number {
  const { progress } = head
  switch (nameLength) {
    case 4:
      if (!named(bytes, name, 'host')) return 0
      if (progress.seen & SEEN_HOST) return -400
      progress.seen |= SEEN_HOST
      head.host = hostOf(bytes, value, end)
      return 0
    case 6:
      if (!named(bytes, name, 'expect')) return 0
      if (trimmed(bytes, value, end).toLowerCase() !== '100-continue') return -417
      head.expectContinue = true
      return 0
    case 10:
      if (named(bytes, name, 'connection')) progress.seen |= connectionOptions(trimmed(bytes, value, end))
      return 0
    case 14:
      if (!named(bytes, name, 'content-length')) return 0
      if (progress.seen & SEEN_LENGTH) return -400
      progress.seen |= SEEN_LENGTH
      head.contentLength = lengthOf(trimmed(bytes, value, end))
      return head.contentLength < 0 ? -400 : 0
    case 17:
      if (!named(bytes, name, 'transfer-encoding')) return 0
      progress.coding = (progress.seen & SEEN_CODING ? `${progress.coding},` : '') + trimmed(bytes, value, end)
      progress.seen |= SEEN_CODING
      return 0
    default:
      return 0
  }
}

/** What only the whole head can tell: Host (RFC 9112 §3.2), framing (§6.3), persistence (§9.3). 0, or a refusal. */
function judge(head: Head, seen: number, coding: string): number {
  if ((seen & SEEN_HOST) === 0 && head.minor === 1) return -400
  head.keepAlive = (seen & SEEN_CLOSE) === 0 && (head.minor === 1 || (seen & SEEN_KEEP_ALIVE) !== 0)
  if (head.minor === 0) head.expectContinue = false // RFC 9110 §10.1.1
  if ((seen & SEEN_CODING) === 0) return 0
  if (seen & SEEN_LENGTH || head.minor === 0) return -400 // RFC 9112 §6.1: a sign of request smuggling
  head.chunked = true
  return judgeCoding(coding)
}

/** Only `chunked`, once and last, frames a request (RFC 9112 §6.3); other codings before it are not implemented (§6.1). */
function judgeCoding(value: string): number {
  if (value.toLowerCase() === 'chunked') return 0
  const codings = listOf(value)
  if (codings.pop() !== 'chunked') return -400
  return codings.every((coding) => coding !== 'chunked' && CODING.test(coding)) ? -501 : -400
}

/** transfer-coding (RFC 9110 §10.1.4), its parameters left unread: it is refused in any case. */
const CODING = /^[!#$%&'*+.^_`|~0-9a-z-]+(?:[ \t]*;.*)?$/

function connectionOptions(value: string): number {
  if (value === 'keep-alive') return SEEN_KEEP_ALIVE
  let seen = 0
  for (const option of listOf(value)) {
    if (option === 'close') seen |= SEEN_CLOSE
    else if (option === 'keep-alive') seen |= SEEN_KEEP_ALIVE
  }
  return seen
}

/** The members of a comma-separated list in lower case (RFC 9110 §5.6.1); only SP and HTAB are blanks, as trim() is not. */
function listOf(value: string): string[] {
  return value.toLowerCase().split(',').map(withoutBlanks)
}

function withoutBlanks(text: string): string {
  let from = 0
  let to = text.length
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB
}

/** 1*DIGIT as a number (RFC 9110 §8.6), -1 for anything else; more than a double counts exactly is more than any limit. */
function lengthOf(value: string): number {
  return /^\d+$/.test(value) ? Math.min(Number(value), Number.MAX_SAFE_INTEGER) : -1
}

/** The last host: clients name the same one again and again, so it need not become a new string each time. */
let lastHost = ''

function hostOf(bytes: Buffer, start: number, end: number): string {
  if (end - start !== lastHost.length || !equals(bytes, start, lastHost)) lastHost = trimmed(bytes, start, end)
  return lastHost
}

function equals(bytes: Buffer, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false
  return true
}

/** Compares a field name with a lower-case one of the same length; both are tokens, so one bit of case is all there is. */
function named(bytes: Buffer, start: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const expected = name.charCodeAt(i)
    if (bytes[start + i] !== expected && (bytes[start + i] | 32) !== expected) return false
  }
  return true
}

function trimmed(bytes: Buffer, start: number, end: number): string {
  let to = end
  while (to > start && isBlank(bytes[to - 1])) to--
  return bytes.latin1Slice(start, to)
}

/** The method as a string; the common ones without a new string for each request. */
function methodOf(bytes: Buffer, start: number, end: number): string {
  if (end - start === 3 && bytes[start] === 71 && bytes[start + 1] === 69 && bytes[start + 2] === 84) return 'GET'
  return bytes.latin1Slice(start, end)
}
