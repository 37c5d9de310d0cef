/**
 * Messages as bytes, for other threads. What may travel is what structured cloning copies faithfully, and addresses of actors. The
 * rest is refused where it is sent, by the path of the field: a function cannot travel, and an instance of a class would arrive as
 * another object.
 *
 *   value:  │ tag │ what there is of it │        object:  │ OBJECT │ key, value │ key, value │ … │ END │
 *   key:    its number in the batch; where that is a new one, its text follows
 *
 * Plain data is written here, in one pass that checks it as well; V8's serializer costs several µs to set up, and its objects cost
 * the garbage collector more. It is used for what is rare (Date, Error, typed arrays, …).
 */

import { deserialize, serialize } from 'node:v8'
import { type Address, isActorRef } from './ref.js'

/** A message holds something that cannot be sent to another thread. */
export class NotSendableError extends TypeError {
  readonly code = 'CS_NOT_SENDABLE'
  /** Where it is in the message: `message.order.items[2].price`. */
  readonly path: string

  constructor(path: string, what: string) {
    super(`${path} is ${what}, which cannot be sent to another thread`)
    this.name = 'NotSendableError'
    this.path = path
  }
}

const UNDEFINED = 0
const NULL = 1
const TRUE = 2
const FALSE = 3
const INTEGER = 4
const NUMBER = 5
const ASCII = 6
const UTF16 = 7
const ARRAY = 8
const OBJECT = 9
const MAP = 10
const SET = 11
const REF = 12
const V8 = 13

/** Stands where the number of a key would. */
const END = 0xffffffff

const FIRST_BYTES = 4096

/** Bytes above which the memory of a batch is not kept for the next. */
const KEPT_BYTES = 256 * 1024

/** Characters up to which a loop beats a call into Node. */
const SHORT = 64

/** Writes values one after the other into one batch. */
export class Encoder {
  /** Bytes at the beginning that are left to whoever sends the batch. */
  readonly #reserved: number
  readonly #known: (ref: Address) => void
  #bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #view: DataView = viewOf(this.#bytes)
  #at: number
  readonly #keys = new Map<string, number>()
  /** Where in the value it is: the objects around, and the way from one to the next. */
  readonly #parents: object[] = []
  readonly #trail: (string | number)[] = []

  /** @param known is given each address before it is written, to see to it that it has a number. */
  constructor(reserved: number, known: (ref: Address) => void) {
    this.#reserved = reserved
    this.#at = reserved
    this.#known = known
  }

  /** What has been written so far, after the bytes that are reserved; valid until {@link clear}. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  get isEmpty(): boolean {
    return this.#at === this.#reserved
  }

  clear(): void {
    this.#at = this.#reserved
    this.#keys.clear()
    if (this.#bytes.length > KEPT_BYTES) this.#allocate(FIRST_BYTES)
  }

  unsigned(value: number): void {
    this.#need(4)
    this.#view.setUint32(this.#at, value, true)
    this.#at += 4
  }

  /**
   * Writes whom a value is for, or if `kind` is not 0 what else it is, and the value; all or nothing.
   * @param root what the value is called where it is refused
   * @throws NotSendableError
   */
  write(kind: number, id: number, value: unknown, root: string): void {
    const start = this.#at
    const keys = this.#keys.size
    try {
      if (kind !== 0) {
        this.unsigned(0)
        this.unsigned(kind)
      }
      this.unsigned(id)
      this.#value(value)
    } catch (error) {
      this.#at = start
      for (const [key, number] of this.#keys) if (number >= keys) this.#keys.delete(key)
      const path = root + this.#trail.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')
      this.#trail.length = 0
      this.#parents.length = 0
      throw error instanceof Refusal ? new NotSendableError(path, error.message) : error
    }
  }

  #value(value: unknown): void {
    switch (typeof value) {
      case 'number':
        return this.#number(value)
      case 'string':
        return this.#string(value)
      case 'boolean':
        return this.#tag(value ? TRUE : FALSE)
      case 'undefined':
        return this.#tag(UNDEFINED)
      case 'bigint':
        return this.#rare(value)
      case 'object':
        return value === null ? this.#tag(NULL) : this.#object(value)
      default:
        throw new Refusal(`a ${typeof value}`)
    }
  }

  #number(value: number): void {
    this.#need(9)
    if (value === (value | 0) && !Object.is(value, -0)) {
      this.#bytes[this.#at] = INTEGER
      this.#view.setInt32(this.#at + 1, value, true)
      this.#at += 5
    } else {
      this.#bytes[this.#at] = NUMBER
      this.#view.setFloat64(this.#at + 1, value, true)
      this.#at += 9
    }
  }

  #string(value: string): void {
    const { length } = value
    this.#need(5 + 2 * length)
    const start = this.#at + 5
    const isAscii = length <= SHORT ? this.#ascii(value, start) : Buffer.byteLength(value) === length
    this.#bytes[this.#at] = isAscii ? ASCII : UTF16
    this.#view.setUint32(this.#at + 1, length, true)
    if (!isAscii)
      this.#bytes.write(value, start, 'utf16le') // all of it, lone surrogates too
    else if (length > SHORT) this.#bytes.write(value, start, 'latin1')
    this.#at = start + (isAscii ? length : 2 * length)
  }

  /** Writes a string as long as it is ASCII, and tells whether it was to the end. */
  #ascii(value: string, start: number): boolean {
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) return false
      this.#bytes[start + i] = code
    }
    return true
  }

  #object(value: object): void {
    if (this.#parents.includes(value)) throw new Refusal('a circular reference')
    this.#parents.push(value)
    if (Array.isArray(value)) this.#items(ARRAY, value)
    else if (isPlainObject(value)) this.#fields(value as Record<string, unknown>)
    else if (isActorRef(value)) this.#ref(value as Address)
    else if (value instanceof Map) this.#items(MAP, [...value].flat(1))
    else if (value instanceof Set) this.#items(SET, [...value])
    else if (isData(value)) this.#rare(value)
    else if (value instanceof SharedArrayBuffer) throw new Refusal('a SharedArrayBuffer')
    else throw new Refusal(`an instance of ${value.constructor?.name || 'a class'}`)
    this.#parents.pop()
  }

  #items(tag: number, items: readonly unknown[]): void {
    this.#tag(tag)
    this.unsigned(items.length)
    for (let i = 0; i < items.length; i++) {
      this.#trail.push(i)
      this.#value(items[i])
      this.#trail.pop()
    }
  }

  #fields(value: Readonly<Record<string, unknown>>): void {
    this.#tag(OBJECT)
    for (const key of Object.keys(value)) {
      this.#trail.push(key)
      this.#key(key)
      this.#value(value[key])
      this.#trail.pop()
    }
    this.unsigned(END)
  }

  #key(key: string): void {
    const number = this.#keys.get(key)
    if (number !== undefined) return this.unsigned(number)
    this.unsigned(this.#keys.size)
    this.#keys.set(key, this.#keys.size)
    this.#string(key)
  }

  #ref(ref: Address): void {
    this.#known(ref)
    this.#tag(REF)
    this.unsigned(ref.node)
    this.unsigned(ref.id)
    this.#string(ref.path)
  }

  #rare(value: unknown): void {
    const bytes = serialize(value)
    this.#tag(V8)
    this.unsigned(bytes.length)
    this.#need(bytes.length)
    bytes.copy(this.#bytes, this.#at)
    this.#at += bytes.length
  }

  #tag(tag: number): void {
    this.#need(1)
    this.#bytes[this.#at++] = tag
  }

  #need(count: number): void {
    if (this.#at + count <= this.#bytes.length) return
    const before = this.#bytes
    this.#allocate(Math.max(2 * before.length, this.#at + count))
    before.copy(this.#bytes, 0, 0, this.#at)
  }

  #allocate(size: number): void {
    this.#bytes = Buffer.allocUnsafeSlow(size)
    this.#view = viewOf(this.#bytes)
  }
}

/** Reads what an {@link Encoder} wrote, batch after batch that is put into its buffer. */
export class Decoder {
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #refOf: (node: number, id: number, path: string) => Address
  #keys: string[] = []
  #at = 0
  #end = 0

  constructor(bytes: Buffer, refOf: (node: number, id: number, path: string) => Address) {
    this.#bytes = bytes
    this.#view = viewOf(bytes)
    this.#refOf = refOf
  }

  /** Begins with the batch that is at bytes[start, end). */
  open(start: number, end: number): void {
    this.#at = start
    this.#end = end
    if (this.#keys.length > 0) this.#keys = []
  }

  get isAtEnd(): boolean {
    return this.#at === this.#end
  }

  unsigned(): number {
    const value = this.#view.getUint32(this.#at, true)
    this.#at += 4
    return value
  }

  value(): unknown {
    const tag = this.#bytes[this.#at++]
    switch (tag) {
      case INTEGER:
        this.#at += 4
        return this.#view.getInt32(this.#at - 4, true)
      case NUMBER:
        this.#at += 8
        return this.#view.getFloat64(this.#at - 8, true)
      case ASCII:
      case UTF16:
        this.#at--
        return this.#string()
      case NULL:
        return null
      case TRUE:
        return true
      case FALSE:
        return false
      case ARRAY:
        return this.#items()
      case OBJECT:
        return this.#object()
      case MAP:
        return this.#map()
      case SET:
        return new Set(this.#items())
      case REF:
        return this.#refOf(this.unsigned(), this.unsigned(), this.#string())
      case V8: {
        const length = this.unsigned()
        this.#at += length
        return deserialize(new Uint8Array(this.#bytes.subarray(this.#at - length, this.#at))) // its views are of a copy
      }
      default:
        return undefined
    }
  }

  #string(): string {
    const isAscii = this.#bytes[this.#at++] === ASCII
    const start = this.#at + 4
    this.#at = start + this.unsigned() * (isAscii ? 1 : 2)
    return this.#bytes.toString(isAscii ? 'latin1' : 'utf16le', start, this.#at)
  }

  #items(): unknown[] {
    const length = this.unsigned()
    const items: unknown[] = []
    for (let i = 0; i < length; i++) items.push(this.value())
    return items
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    for (let number = this.unsigned(); number !== END; number = this.unsigned()) {
      if (number === this.#keys.length) this.#keys.push(this.#string())
      const key = this.#keys[number]
      if (key !== '__proto__') object[key] = this.value()
      else
        Object.defineProperty(object, key, {
          value: this.value(),
          writable: true,
          enumerable: true,
          configurable: true,
        })
    }
    return object
  }

  #map(): Map<unknown, unknown> {
    const items = this.#items()
    const map = new Map<unknown, unknown>()
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1])
    return map
  }
}

/** What is wrong with a value; where it is, is for whoever catches this to say. */
class Refusal extends Error {}

function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** What structured cloning copies whole. */
function isData(value: object): boolean {
  if (ArrayBuffer.isView(value)) return !(value.buffer instanceof SharedArrayBuffer)
  return value instanceof ArrayBuffer || value instanceof Date || value instanceof RegExp || value instanceof Error
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length)
}
