// biome-ignore-all lint/complexity/noArguments: a rest parameter would change the `length` of the standard methods
/**
 * Headers over a flat array (Fetch §5.1), an instance of the real class and some twenty times cheaper.
 *
 * A request's headers stay the text that came off the wire until something is asked of them.
 */

import {
  deleteName,
  fill,
  hasName,
  headerName,
  headerValue,
  joinedValue,
  parseHead,
  setName,
  sortAndCombine,
} from './header-list.js'
import { iterate, pick } from './headers-iterator.js'
import { type HeadersInit, implementsInterface, inspectsAs } from './real.js'

type Entries = readonly (readonly [string, string])[]

/** Doors to the private state, set by the class itself and used by the functions below it. */
let listOf: (headers: object) => string[] | null
let freeze: (headers: LightHeaders) => LightHeaders
let copy: (headers: Headers) => LightHeaders

export class LightHeaders implements Headers {
  #flat: string[] | null = null
  #head = ''
  #start = 0
  #sorted: Entries | null = null
  #immutable = false

  /** Makes headers from nothing, a record, pairs or other headers; throws TypeError if one is invalid (Fetch §5.1). */
  constructor(init?: HeadersInit) {
    if (init !== undefined) this.#flat = flatten(init)
  }

  /** Adopts a flat array of lower-case names and valid values without a check. For the HTTP machine. */
  static fromWire(flat: string[]): LightHeaders {
    const headers = new LightHeaders()
    headers.#flat = flat
    return headers
  }

  /** Takes a validated header section, from `start` to its empty line, and parses it when first asked. */
  static fromHead(head: string, start: number): LightHeaders {
    const headers = new LightHeaders()
    headers.#head = head
    headers.#start = start
    return headers
  }

  /** Adds a value to a name; throws TypeError if either is invalid or the headers immutable (§5.1). */
  append(name: string, value: string): void {
    need(arguments.length, 2)
    LightHeaders.#change(this).push(headerName(name), headerValue(value))
  }

  /** Removes a name; throws TypeError if it is invalid or the headers immutable (§5.1). */
  delete(name: string): void {
    need(arguments.length, 1)
    deleteName(LightHeaders.#change(this), headerName(name))
  }

  /** Gives the values of a name joined by ", ", or null; throws TypeError for an invalid name (§5.1). */
  get(name: string): string | null {
    need(arguments.length, 1)
    return joinedValue(LightHeaders.#list(this), headerName(name))
  }

  /** Gives each Set-Cookie value apart (§5.1). */
  getSetCookie(): string[] {
    const flat = LightHeaders.#list(this)
    return flat.filter((_, i) => i % 2 === 1 && flat[i - 1] === 'set-cookie')
  }

  /** Tells whether the name is there; throws TypeError for an invalid one (§5.1). */
  has(name: string): boolean {
    need(arguments.length, 1)
    return hasName(LightHeaders.#list(this), headerName(name))
  }

  /** Replaces all values of a name by one; throws TypeError if either is invalid or the headers immutable (§5.1). */
  set(name: string, value: string): void {
    need(arguments.length, 2)
    const checked = headerValue(value)
    setName(LightHeaders.#change(this), headerName(name), checked)
  }

  /** Calls back for each entry, sorted and combined; throws TypeError if `callback` is no function (§5.1). */
  forEach(callback: (value: string, key: string, parent: Headers) => void, thisArg?: unknown): void {
    if (typeof callback !== 'function') throw new TypeError('forEach needs a function')
    for (const [name, value] of this.entries()) callback.call(thisArg, value, name, this)
  }

  /** Iterates over the names, sorted (§5.1). */
  keys(): IterableIterator<string> {
    return iterate(LightHeaders.#entriesOf(this), pick.key)
  }

  /** Iterates over the values in the order of their names (§5.1). */
  values(): IterableIterator<string> {
    return iterate(LightHeaders.#entriesOf(this), pick.value)
  }

  /** Iterates over the entries, sorted by name and combined, each Set-Cookie apart (§5.1). */
  entries(): IterableIterator<[string, string]> {
    return iterate(LightHeaders.#entriesOf(this), pick.entry)
  }

  declare [Symbol.iterator]: () => IterableIterator<[string, string]>

  static #list(headers: LightHeaders): string[] {
    headers.#flat ??= parse(headers.#head, headers.#start)
    return headers.#flat
  }

  static #change(headers: LightHeaders): string[] {
    const flat = LightHeaders.#list(headers)
    if (headers.#immutable) throw new TypeError('these headers are immutable')
    headers.#sorted = null
    return flat
  }

  static #sort(headers: LightHeaders): Entries {
    headers.#sorted ??= sortAndCombine(LightHeaders.#list(headers))
    return headers.#sorted
  }

  static #entriesOf(headers: LightHeaders): () => Entries {
    LightHeaders.#list(headers) // a wrong receiver throws here, not at the first step
    return () => LightHeaders.#sort(headers)
  }

  static {
    listOf = (headers) => (#flat in headers ? LightHeaders.#list(headers) : null)
    freeze = (headers) => {
      headers.#immutable = true
      return headers
    }
    copy = (headers) => {
      const copied = LightHeaders.fromWire(raw(headers).slice())
      copied.#immutable = #flat in headers && headers.#immutable
      return copied
    }
  }
}

function need(given: number, wanted: number): void {
  if (given < wanted)
    throw new TypeError(`${wanted} argument${wanted > 1 ? 's' : ''} required, but only ${given} present`)
}

function parse(head: string, start: number): string[] {
  return head === '' ? [] : parseHead(head, start)
}

/**
 * Gives headers as a flat array [lower-case name, value, ...], each Set-Cookie apart, without copying a light one's.
 * The array belongs to the headers: read it, never change it.
 */
export function raw(headers: Headers): readonly string[] {
  return listOf(headers) ?? [...headers].flat()
}

/** Copies a HeadersInit into a flat array of its own; throws TypeError as the constructor of Headers does (§5.1). */
export function flatten(init: unknown): string[] {
  const list = typeof init === 'object' && init !== null ? listOf(init) : null
  if (list !== null) return list.slice()
  const flat: string[] = []
  fill(flat, init)
  return flat
}

/** Copies headers, immutable if the original is. */
export function copyOf(headers: Headers): LightHeaders {
  return copy(headers)
}

/** Makes light headers immutable, as those of Response.error() and Response.redirect() are (§5.5). */
export function immutable(headers: LightHeaders): LightHeaders {
  return freeze(headers)
}

Object.defineProperty(LightHeaders.prototype, Symbol.iterator, {
  value: LightHeaders.prototype.entries,
  writable: true,
  configurable: true,
})
implementsInterface(LightHeaders, 'Headers', { length: 0 })
inspectsAs(LightHeaders.prototype, 'Headers', (headers) => Object.fromEntries(headers))
