/** Puts the light classes in the place of the platform's, on the thread that loads an app. */

import { LightHeaders } from './headers.js'
import { realFetch, standsFor } from './real.js'
import { LightRequest, toRealRequest } from './request.js'
import { LightResponse } from './response.js'

/** Headers of one hop, which the next connection decides for itself (RFC 9110 §7.6.1); undici refuses most of them. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

let restore: (() => void) | null = null

/**
 * Replaces the globals Headers, Request, Response and fetch by light ones, with the attributes the originals have, and
 * returns a function that restores them. A second call before that changes nothing and returns the same function.
 */
export function installFetchGlobals(): () => void {
  if (restore !== null) return restore
  const light = { Headers: LightHeaders, Request: LightRequest, Response: LightResponse, fetch }
  const originals = Object.entries(light).map(([name, value]) => [name, replace(name, value)] as const)
  restore = () => {
    if (restore === null) return
    for (const [name, original] of originals) Object.defineProperty(globalThis, name, original)
    restore = null
  }
  return restore
}

/** Replaces one global, and gives the descriptor it had. */
function replace(name: string, value: unknown): PropertyDescriptor {
  const original = Object.getOwnPropertyDescriptor(globalThis, name) ?? { configurable: true }
  const enumerable = original.enumerable ?? false
  Object.defineProperty(globalThis, name, { value, enumerable, writable: true, configurable: true })
  return original
}

/** Fetches as the platform does, which knows nothing of light requests (Fetch §5.6). */
async function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  return realFetch(toRealRequest(input, init, HOP_BY_HOP), init)
}

standsFor(fetch, () => realFetch)
