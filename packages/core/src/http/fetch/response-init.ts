/** The checks on a ResponseInit (Fetch §5.5 "initialize a response") and on the statuses of a redirect. */

import { hasName, headerValue } from './header-list.js'

const NOT_A_REASON = /[^\t\x20-\x7e\x80-\xff]/

/** Converts to an unsigned short and checks 200-599; throws RangeError outside, TypeError for a symbol (§5.5). */
export function statusFrom(value: unknown): number {
  const status = typeof value === 'number' && value >= 200 && value <= 599 ? Math.trunc(value) : unsignedShort(value)
  if (status < 200 || status > 599) throw new RangeError(`the status must be within 200 and 599, not ${status}`)
  return status
}

/** Web IDL's conversion to `unsigned short`: modulo 2^16, and 0 for what is no number. */
export function unsignedShort(value: unknown): number {
  return new Uint16Array([+(value as number)])[0]!
}

/** Checks a reason phrase; throws TypeError for control characters and what is not latin1 (§5.5, RFC 9112 §4). */
export function statusTextFrom(value: unknown): string {
  const text = `${value as string}`
  if (NOT_A_REASON.test(text)) throw new TypeError('statusText is not a valid reason phrase')
  return text
}

/** True for the statuses that may have no body (§2.2.3 "null body status"). */
export function isNullBodyStatus(status: number): boolean {
  return status === 204 || status === 205 || status === 304
}

/** Checks the status of a redirect; throws RangeError if it is none (§2.2.3 "redirect status"). */
export function redirectStatusFrom(value: unknown): number {
  const status = unsignedShort(value)
  if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`${status} is not a redirect status`)
  return status
}

/** Gives a Location; throws TypeError if `url` does not parse (§5.5 "redirect"). */
export function locationFrom(url: unknown): string {
  return headerValue(new URL(`${url as string}`).href)
}

/** Serialises a value as JSON; throws TypeError for what has no JSON form (Infra §7). */
export function jsonFrom(data: unknown): string {
  const text = JSON.stringify(data)
  if (text === undefined) throw new TypeError('Value is not JSON serializable')
  return text
}

/** Appends the content type that the body implies, unless the list has one. */
export function withType(flat: string[], implied: readonly string[]): string[] {
  if (implied.length !== 0 && !hasName(flat, 'content-type')) flat.push(...implied)
  return flat
}
