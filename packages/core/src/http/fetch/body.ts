/**
 * What a message carries (Fetch §2.2.4, §5.2, §5.3), kept as it was given until someone asks for something else.
 *
 * Text and bytes are read here; everything unusual is read by a real Response made for the purpose.
 */

import { Readable } from 'node:stream'
import { type BodyInit, realResponse } from './real.js'

/** A body: text not yet encoded, bytes nobody else may change, a blob, a stream, or none. */
export type Payload = null | string | Uint8Array | Blob | ReadableStream<Uint8Array>

/** A body and the content type it implies. */
export interface Extracted {
  readonly payload: Payload
  readonly type: string | null
}

export const TEXT_TYPE = 'text/plain;charset=UTF-8'
const FORM_TYPE = 'application/x-www-form-urlencoded;charset=UTF-8'
const decoder = new TextDecoder() // drops a byte order mark, as "UTF-8 decode" does
const BYTE_ORDER_MARK = '\ufeff'

/** Extracts a body that is neither a string nor null; throws TypeError for a stream in use (§5.2 "extract a body"). */
export function extract(body: unknown): Extracted {
  if (typeof body !== 'object') return { payload: `${body as string}`, type: TEXT_TYPE }
  if (ArrayBuffer.isView(body)) return { payload: copyOf(body), type: null }
  if (body instanceof ArrayBuffer) return { payload: copyOf(new Uint8Array(body)), type: null }
  if (body instanceof URLSearchParams) return { payload: body.toString(), type: FORM_TYPE }
  if (body instanceof Blob) return { payload: body, type: body.type === '' ? null : body.type }
  if (body instanceof ReadableStream) return { payload: untouched(body), type: null }
  const real = new (realResponse())(body as BodyInit) // FormData, async iterables, objects with a toString
  return { payload: real.body as ReadableStream<Uint8Array>, type: real.headers.get('content-type') }
}

/** Copies bytes, small ones into the pool of Buffer, where a copy costs no allocation of its own. */
function copyOf(view: ArrayBufferView): Uint8Array {
  return Buffer.from(view instanceof Uint8Array ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
}

function untouched(stream: ReadableStream): ReadableStream<Uint8Array> {
  if (isUnusable(stream)) throw unusable()
  return stream
}

/** True if a stream is locked or was read from, so that its body cannot be used (§5.3 "unusable"). */
export function isUnusable(stream: ReadableStream): boolean {
  return stream.locked || isDisturbed(stream)
}

/** True if anything was read from the stream, or it was cancelled. */
export function isDisturbed(stream: ReadableStream): boolean {
  return Readable.isDisturbed(stream as never)
}

export function unusable(): TypeError {
  return new TypeError('Body is unusable: Body has already been read')
}

/** The text of a body that is at hand, as "UTF-8 decode" gives it. */
export function textOf(payload: string | Uint8Array): string {
  if (typeof payload !== 'string') return decoder.decode(payload)
  const text = (payload as string & { toWellFormed(): string }).toWellFormed()
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text
}

/** The bytes of a body that is at hand, in an array that the caller owns. */
export function bytesOf(payload: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return typeof payload === 'string' ? encode(payload) : new Uint8Array(payload)
}

const encoder = new TextEncoder()

function encode(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text) as Uint8Array<ArrayBuffer>
}

/** A real response that owns the payload, with the content type that decides what blob() and formData() give. */
export function carrierOf(payload: Payload, type: string | null): Response {
  return new (realResponse())(payload, type === null ? {} : { headers: [['content-type', type]] })
}

/** All bytes of a payload, in an array that the caller owns; rejects with TypeError if a stream is in use. */
export async function readBytes(payload: Exclude<Payload, null>): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof payload === 'string' || payload instanceof Uint8Array) return bytesOf(payload)
  return new Uint8Array(await carrierOf(payload, null).arrayBuffer())
}

/** The text of a payload; rejects with TypeError if a stream is in use. */
export async function readText(payload: Exclude<Payload, null>): Promise<string> {
  if (typeof payload === 'string' || payload instanceof Uint8Array) return textOf(payload)
  return carrierOf(payload, null).text()
}

/** The stream of a payload; `spent` gives one that was read to its end, as the body of a used message is. */
export function streamOf(payload: Exclude<Payload, null>, spent: boolean): ReadableStream<Uint8Array> {
  if (payload instanceof ReadableStream) return payload
  const real = carrierOf(spent ? '' : payload, null)
  if (spent) void real.arrayBuffer()
  return real.body as ReadableStream<Uint8Array>
}
