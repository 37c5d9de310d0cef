/** What the response writer takes out of a response, whichever class it is of. Apps cannot reach these functions. */

import { type Payload, unusable } from './body.js'
import { raw } from './headers.js'
import { realResponse } from './real.js'
import { inside } from './response.js'

/** Tells whether a handler gave a response, of whichever class. */
export function isResponse(value: unknown): value is Response {
  return typeof value === 'object' && value !== null && (inside.owns(value) || value instanceof realResponse())
}

/**
 * Makes a response of parts that were taken out of another, on another thread perhaps, and so were checked: nothing is copied.
 * Lower-case names and values alternate in `flat`.
 */
export function responseFrom(status: number, statusText: string, flat: readonly string[], payload: Payload): Response {
  return inside.make(status, statusText, flat, payload)
}

/** Gives the status of any response, light, real or a subclass; 0 for a network error. */
export function statusOf(response: Response): number {
  return inside.owns(response) ? inside.status(response) : response.status
}

/** Gives the reason phrase of any response, often empty. */
export function statusTextOf(response: Response): string {
  return inside.owns(response) ? inside.statusText(response) : response.statusText
}

/**
 * Gives the headers of any response as [lower-case name, value, ...], the default content-type included and each
 * Set-Cookie apart. The array may be shared between responses: read it, never change it.
 *
 * In a response that came from `fetch()`, content-encoding, content-length and transfer-encoding describe the upstream's
 * bytes, which fetch has decoded: they are stale.
 */
export function flatHeadersOf(response: Response): readonly string[] {
  return inside.owns(response) ? inside.flat(response) : raw(response.headers)
}

/** Gives the size of a body in bytes before it is taken, or undefined for a stream. */
export function bodySizeOf(response: Response): number | undefined {
  if (!inside.owns(response)) return response.body === null ? 0 : undefined
  const payload = inside.payload(response)
  if (payload === null) return 0
  if (typeof payload === 'string') return Buffer.byteLength(payload)
  if (payload instanceof Uint8Array) return payload.byteLength
  return payload instanceof ReadableStream ? undefined : payload.size
}

/**
 * Takes the body of any response for writing: text still to be encoded as UTF-8, bytes that must not be changed, or a
 * stream (a blob's too). The body counts as used from then on. Throws TypeError if it was used or is locked.
 *
 * Lock a stream with a reader at once: undici cancels the unlocked stream of a fetched response when that is collected.
 */
export function takeBody(response: Response): null | string | Uint8Array | ReadableStream<Uint8Array> {
  if (!inside.owns(response)) return takeRealBody(response)
  const payload = inside.take(response)
  if (payload === null || typeof payload === 'string' || payload instanceof Uint8Array) return payload
  return payload instanceof ReadableStream ? payload : (payload.stream() as ReadableStream<Uint8Array>)
}

function takeRealBody(response: Response): ReadableStream<Uint8Array> | null {
  if (response.bodyUsed || response.body?.locked) throw unusable()
  return response.body as ReadableStream<Uint8Array> | null
}
