/**
 * What crosses between a thread that has the connections and one that runs a handler, as records:
 *
 *   REQUEST ─▶                              ◀─ TAKEN, where its answer is not there at once
 *   BODY … BODY_END | BODY_FAILED ─▶        ◀─ WANT, for so many bytes of a body that did not come with the request
 *   ABORT ─▶                                ◀─ RESPONSE
 *   CREDIT, CANCEL ─▶                       ◀─ CHUNK … END | BROKEN, of a body that did not come with the response
 *
 * Heads are copied as the bytes that they were on the wire, so neither side parses them again.
 */

import { flatHeadersOf, ParsedRequest, type RequestHead, responseFrom, statusOf, statusTextOf } from '../http/index.js'
import { A, B, C, D, E, FLAGS, PAYLOAD, RECORD_BYTES, type Sheet } from './sheet.js'

export const REQUEST = 1
export const BODY = 2
export const BODY_END = 3
export const BODY_FAILED = 4
export const ABORT = 5
export const CREDIT = 6
export const CANCEL = 7
export const TAKEN = 8
export const WANT = 9
export const RESPONSE = 10
export const CHUNK = 11
export const END = 12
export const BROKEN = 13
/** A thread is gone; A is the request that it had in hand, 0 for none. */
export const DIED = 14

/** Bytes of a body that one record carries; larger chunks are split. */
export const PIECE_BYTES: number = 64 * 1024

/** Bytes of a body that may be under way before its reader must ask for more. */
export const WINDOW_BYTES: number = 128 * 1024

/** Bytes of a body that cross with its head. */
export const INLINE_BYTES: number = 64 * 1024

const MINOR_1 = 1 // flags of a request
const KEEP_ALIVE = 2
const EXPECT_CONTINUE = 4
const PLAIN_TARGET = 8
const HAS_BODY = 16
/** The body comes in records of its own, when it is wanted. */
export const BODY_FOLLOWS = 32
export const ABORTED = 64

const NO_BODY = 1 // flags of a response
/** The body comes in records of its own. */
export const CHUNKS_FOLLOW = 2
/** The handler has begun to read the body of its request, and may go on. */
export const USES_BODY = 4

/** Writes a request, with its body where that is at hand and short; `flags` are those that the caller knows. */
export function writeRequest(
  sheet: Sheet,
  id: number,
  sender: number,
  incoming: ParsedRequest,
  body: Uint8Array | undefined,
  flags: number,
): void {
  const { method, target, host, fields } = incoming
  const bodyLength = body?.length ?? 0
  sheet.begin(REQUEST, id, sender, method.length + target.length + host.length + fields.length + bodyLength)
  const { words, bytes } = sheet
  words[FLAGS] =
    flags |
    (incoming.minor === 1 ? MINOR_1 : 0) |
    (incoming.keepAlive ? KEEP_ALIVE : 0) |
    (incoming.expectContinue ? EXPECT_CONTINUE : 0) |
    (incoming.plainTarget ? PLAIN_TARGET : 0) |
    (body === undefined ? 0 : HAS_BODY)
  words[A] = method.length
  words[B] = target.length
  words[C] = host.length
  words[D] = fields.length
  words[E] = bodyLength
  let at = PAYLOAD
  at += bytes.latin1Write(method, at)
  at += bytes.latin1Write(target, at)
  at += bytes.latin1Write(host, at)
  at += bytes.latin1Write(fields, at)
  if (body !== undefined) bytes.set(body, at)
}

/** Reads a request as the HTTP machine had parsed it, without its body. */
export function readRequest({ words, bytes }: Sheet): ParsedRequest {
  const target = PAYLOAD + words[A]
  const host = target + words[B]
  const fields = host + words[C]
  const flags = words[FLAGS]
  const head: RequestHead = {
    method: methodOf(bytes, words[A]),
    target: bytes.latin1Slice(target, host),
    host: bytes.latin1Slice(host, fields),
    fields: bytes.latin1Slice(fields, fields + words[D]),
    minor: flags & MINOR_1,
    keepAlive: (flags & KEEP_ALIVE) !== 0,
    expectContinue: (flags & EXPECT_CONTINUE) !== 0,
    plainTarget: (flags & PLAIN_TARGET) !== 0,
  }
  return new ParsedRequest(head)
}

/** The body that came with a request, in the sheet; undefined where none did. */
export function bodyOf({ words, bytes }: Sheet): Uint8Array | undefined {
  if ((words[FLAGS] & HAS_BODY) === 0) return undefined
  const start = PAYLOAD + words[A] + words[B] + words[C] + words[D]
  return bytes.subarray(start, start + words[E])
}

const GET = 'GET'

function methodOf(bytes: Buffer, length: number): string {
  if (length === 3 && bytes[PAYLOAD] === 0x47) return GET
  return bytes.latin1Slice(PAYLOAD, PAYLOAD + length)
}

/** The last header list that was joined, or split: responses with default headers share one, frozen. */
let joinedFlat: readonly string[] | undefined
let joined = ''
let splitFlat: readonly string[] = Object.freeze([])
let split = ''

/** Neither a name nor a value has one. */
const SEPARATOR = '\n'

function join(flat: readonly string[]): string {
  if (flat === joinedFlat) return joined
  const text = flat.join(SEPARATOR)
  if (!Object.isFrozen(flat)) return text
  joinedFlat = flat
  joined = text
  return text
}

/** Gives the same list for the same text, frozen, so that what is rendered of it is kept. */
function splitAgain(text: string): readonly string[] {
  if (text === split) return splitFlat
  split = text
  splitFlat = Object.freeze(text === '' ? [] : text.split(SEPARATOR))
  return splitFlat
}

/**
 * Writes a response without its body, for which `room` bytes are kept at the end: returns where they start.
 * @throws TypeError for Response.error(), which cannot be sent
 */
export function writeResponse(
  sheet: Sheet,
  id: number,
  sender: number,
  response: Response,
  flags: number,
  room: number,
  size: number | undefined,
): number {
  const status = statusOf(response)
  if (status === 0) throw new TypeError('Response.error() cannot be sent: it stands for a failed fetch')
  const statusText = statusTextOf(response)
  const headers = join(fieldsOf(response, size))
  sheet.begin(RESPONSE, id, sender, statusText.length + headers.length + room)
  const { words, bytes } = sheet
  words[FLAGS] = flags
  words[A] = status
  words[B] = statusText.length
  words[C] = headers.length
  words[D] = room
  let at = PAYLOAD
  at += bytes.latin1Write(statusText, at)
  at += bytes.latin1Write(headers, at)
  return at
}

/** The headers as they cross; `size` is that of a body whose bytes follow. What describes the bytes that fetch decoded is left out. */
function fieldsOf(response: Response, size: number | undefined): readonly string[] {
  const flat = flatHeadersOf(response)
  const decoded = response.url !== ''
  if (!decoded && size === undefined) return flat
  const kept: string[] = size === undefined ? [] : ['content-length', `${size}`]
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] === 'content-length' && (decoded || size !== undefined)) continue
    if (flat[i] === 'content-encoding' && decoded) continue
    kept.push(flat[i], flat[i + 1])
  }
  return kept
}

/** Bytes from which on the HTTP machine keeps a body instead of copying it. */
const KEPT_BYTES = 16 * 1024

/**
 * Reads a response. Where its body came with it and is short, it lies in the sheet: the HTTP machine must have it before the
 * next record is read.
 */
export function readResponse({ words, bytes }: Sheet, stream: ReadableStream<Uint8Array> | undefined): Response {
  const headersAt = PAYLOAD + words[B]
  const bodyAt = headersAt + words[C]
  const statusText = words[B] === 0 ? '' : bytes.latin1Slice(PAYLOAD, headersAt)
  const flat = splitAgain(bytes.latin1Slice(headersAt, bodyAt))
  if (stream !== undefined) return responseFrom(words[A], statusText, flat, stream)
  if (words[FLAGS] & NO_BODY) return responseFrom(words[A], statusText, flat, null)
  const body = bytes.subarray(bodyAt, bodyAt + words[D])
  return responseFrom(words[A], statusText, flat, body.length < KEPT_BYTES ? body : new Uint8Array(body))
}

/** Writes a response whose body is at hand. */
export function writeWhole(
  sheet: Sheet,
  id: number,
  sender: number,
  response: Response,
  body: string | Uint8Array | null,
  flags: number,
): void {
  if (body === null) return void writeResponse(sheet, id, sender, response, flags | NO_BODY, 0, undefined)
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  const at = writeResponse(sheet, id, sender, response, flags, length, undefined)
  if (typeof body !== 'string') sheet.bytes.set(body, at)
  else if (length === body.length)
    sheet.bytes.latin1Write(body, at) // ASCII
  else sheet.bytes.utf8Write(body, at)
}

/** Writes a record that carries bytes of a body. */
export function writePiece(sheet: Sheet, kind: number, id: number, sender: number, bytes: Uint8Array): void {
  sheet.begin(kind, id, sender, bytes.length)
  sheet.words[A] = bytes.length
  sheet.bytes.set(bytes, PAYLOAD)
}

/** The bytes of such a record, in the sheet. */
export function pieceOf({ words, bytes }: Sheet): Uint8Array {
  return bytes.subarray(PAYLOAD, PAYLOAD + words[A])
}

/** Writes a record that says what has failed. */
export function writeFailure(sheet: Sheet, kind: number, id: number, sender: number, error: unknown): void {
  const { message, stack = '' } = error instanceof Error ? error : new Error(String(error))
  const [text, trace] = [message, stack].map((each) => Buffer.from(each).subarray(0, RECORD_BYTES / 4))
  sheet.begin(kind, id, sender, text.length + trace.length)
  sheet.words[A] = text.length
  sheet.words[B] = trace.length
  sheet.bytes.set(text, PAYLOAD)
  sheet.bytes.set(trace, PAYLOAD + text.length)
}

/** The error of such a record. */
export function failureOf({ words, bytes }: Sheet): Error {
  const error = new Error(bytes.toString('utf8', PAYLOAD, PAYLOAD + words[A]))
  if (words[B] > 0) error.stack = bytes.toString('utf8', PAYLOAD + words[A], PAYLOAD + words[A] + words[B])
  return error
}

/** Splits bytes into what records carry. */
export function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
}
