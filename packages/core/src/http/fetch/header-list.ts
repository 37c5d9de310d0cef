/**
 * The header list of the Fetch standard (§2.2.2) as a flat array: [lower-case name, value, lower-case name, value, ...],
 * in the order received, duplicates kept. A plain array is what the response writer wants and what V8 makes fastest.
 */

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** NUL, LF and CR may not stand in a value, and above 0xFF it is no ByteString. */
const NOT_A_VALUE = /[\0\n\r\u0100-\uffff]/
const SPACE = 32

/** Names seen before and their lower-case form: a look-up is several times cheaper than a check. */
const knownNames = new Map<string, string>()
const KNOWN_NAMES = 1024
const KNOWN_LENGTH = 64

/** Checks a header name and gives it in lower case; throws TypeError for what is not a token (Fetch §2.2.2). */
export function headerName(name: string): string {
  return knownNames.get(name) ?? checkName(name)
}

function checkName(name: unknown): string {
  const text = `${name}`
  if (!TOKEN.test(text)) throw new TypeError(`${JSON.stringify(text)} is not a valid header name`)
  if (text.length > KNOWN_LENGTH) return text.toLowerCase()
  const owned = Buffer.from(text, 'latin1').toString('latin1') // a slice would keep the whole request head alive
  const lower = owned.toLowerCase()
  if (knownNames.size >= KNOWN_NAMES) knownNames.clear() // a client that invents names costs itself, nobody else
  knownNames.set(owned, lower)
  return lower
}

/** Trims a header value of HTTP whitespace and checks it; throws TypeError for NUL, CR, LF and non-latin1 (§2.2.2). */
export function headerValue(value: string): string {
  const text = typeof value === 'string' ? value : `${value as unknown}`
  const trimmed =
    text.charCodeAt(0) <= SPACE || text.charCodeAt(text.length - 1) <= SPACE ? trimmedSlice(text, 0, text.length) : text
  if (NOT_A_VALUE.test(trimmed)) throw new TypeError(`${JSON.stringify(trimmed)} is not a valid header value`)
  return trimmed
}

/** True if the list has the name, which must be in lower case. */
export function hasName(flat: readonly string[], name: string): boolean {
  for (let i = 0; i < flat.length; i += 2) if (flat[i] === name) return true
  return false
}

/** The values of a name joined, or null (§2.2.2 "get"); cookies join with "; ", as undici and RFC 9113 §8.2.3 do. */
export function joinedValue(flat: readonly string[], name: string): string | null {
  let joined: string | null = null
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] === name) joined = joined === null ? flat[i + 1]! : joined + separatorOf(name) + flat[i + 1]!
  }
  return joined
}

function separatorOf(name: string): string {
  return name === 'cookie' ? '; ' : ', '
}

/** Takes every entry of a name out of the list (§2.2.2 "delete"), from the pair at index `from` on. */
export function deleteName(flat: string[], name: string, from = 0): void {
  let kept = from
  for (let i = from; i < flat.length; i += 2) {
    if (flat[i] === name) continue
    flat[kept++] = flat[i]!
    flat[kept++] = flat[i + 1]!
  }
  flat.length = kept
}

/** Gives the first entry of a name this value and drops the others, or appends one (§2.2.2 "set"). */
export function setName(flat: string[], name: string, value: string): void {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] !== name) continue
    flat[i + 1] = value
    deleteName(flat, name, i + 2)
    return
  }
  flat.push(name, value)
}

/** The list sorted by name with the values of a name combined, each set-cookie apart (§2.2.2 "sort and combine"). */
export function sortAndCombine(flat: readonly string[]): readonly (readonly [string, string])[] {
  const combined = new Map<string, string>()
  const cookies: [string, string][] = []
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!
    const value = flat[i + 1]!
    const before = combined.get(name)
    if (name === 'set-cookie') cookies.push([name, value])
    else combined.set(name, before === undefined ? value : before + separatorOf(name) + value)
  }
  return [...combined, ...cookies].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

/** Parses a header section ("Name: value\r\n...\r\n\r\n") that was validated before, from `start` on. */
export function parseHead(head: string, start: number): string[] {
  const flat: string[] = []
  for (let at = start; at < head.length; ) {
    const found = head.indexOf('\r', at) // one character: V8 searches for two at half the speed
    const end = found === -1 ? head.length : found
    const colon = head.indexOf(':', at)
    if (end === at || colon === -1) break
    flat.push(headerName(head.slice(at, colon)), trimmedSlice(head, colon + 1, end))
    at = end + 2
  }
  return flat
}

/** A slice without HTTP whitespace around it; a loop, since a regular expression is quadratic in inner blanks. */
function trimmedSlice(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === SPACE || code === 9 || code === 10 || code === 13
}

/** Appends a HeadersInit to the list (§5.1 "fill"); throws TypeError for any name, value or shape not allowed. */
export function fill(flat: string[], init: unknown): void {
  if (init === null || (typeof init !== 'object' && typeof init !== 'function')) {
    throw new TypeError('headers must be an object or a sequence of [name, value] pairs')
  }
  const iterator = (init as { [Symbol.iterator]?: unknown })[Symbol.iterator]
  if (iterator === undefined || iterator === null) fillFromRecord(flat, init as Record<string, string>)
  else fillFromPairs(flat, init as Iterable<unknown>)
}

function fillFromRecord(flat: string[], record: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(record)) flat.push(headerName(name), headerValue(record[name]!))
  for (const symbol of Object.getOwnPropertySymbols(record)) {
    if (Object.prototype.propertyIsEnumerable.call(record, symbol)) throw new TypeError('a header name is no symbol')
  }
}

function fillFromPairs(flat: string[], pairs: Iterable<unknown>): void {
  for (const pair of pairs) {
    if (pair === null || typeof pair !== 'object') throw new TypeError('a header must be a [name, value] pair')
    const parts = [...(pair as Iterable<string>)]
    if (parts.length !== 2) throw new TypeError('a header must be a pair of a name and a value')
    flat.push(headerName(parts[0]!), headerValue(parts[1]!))
  }
}
