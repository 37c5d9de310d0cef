/**
 * What may travel between threads: what structured cloning copies faithfully, and addresses of actors. The rest is refused where
 * it is sent, by the path of the field: a function cannot travel, and an instance of a class would arrive as another object.
 */

import { type ActorRef, type Address, isActorRef } from './ref.js'

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

/** The key of an object that stands for an address; no other may have it. */
const MARK = '$actor'

/** Levels of objects within objects that a message may have. */
const DEEPEST = 200

type Marked = { readonly [MARK]: readonly [node: number, id: number, path: string] }

/** What {@link scan} says. */
export const PLAIN = 0
export const HAS_REFS = 1
export const REFUSED = 2

/** Looks whether a value can travel as it is, or only {@link pack}ed, or not at all. */
export function scan(value: unknown, depth = 0): number {
  switch (typeof value) {
    case 'object':
      return value === null ? PLAIN : scanObject(value, depth)
    case 'function':
    case 'symbol':
      return REFUSED
    default:
      return PLAIN
  }
}

function scanObject(value: object, depth: number): number {
  if (depth === DEEPEST) return REFUSED // or it is in itself
  let worst = PLAIN
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && worst !== REFUSED; i++) worst = Math.max(worst, scan(value[i], depth + 1))
    return worst
  }
  if (isPlainObject(value)) {
    if (MARK in value) return REFUSED
    for (const key in value) {
      const found = scan((value as Record<string, unknown>)[key], depth + 1)
      if (found > worst) worst = found
      if (worst === REFUSED) break
    }
    return worst
  }
  if (isActorRef(value)) return HAS_REFS
  if (value instanceof Map || value instanceof Set) return scan([...value].flat(1), depth + 1)
  return isData(value) ? PLAIN : REFUSED
}

/** Copies a value with addresses in a form that travels. @throws NotSendableError */
export function pack(value: unknown, known: (ref: ActorRef<never>) => Address, path = 'message'): unknown {
  return packed(value, known, path, [])
}

function packed(
  value: unknown,
  known: (ref: ActorRef<never>) => Address,
  path: string,
  parents: readonly object[],
): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') throw new NotSendableError(path, `a ${typeof value}`)
  if (typeof value !== 'object' || value === null) return value
  if (parents.includes(value)) throw new NotSendableError(path, 'a circular reference')
  if (parents.length === DEEPEST) throw new NotSendableError(path, 'too deep within other objects')
  const inner = (field: unknown, at: string): unknown => packed(field, known, at, [...parents, value])
  if (Array.isArray(value)) return value.map((item, i) => inner(item, `${path}[${i}]`))
  if (value instanceof Set) return new Set([...value].map((item, i) => inner(item, `${path}{${i}}`)))
  if (value instanceof Map) {
    return new Map(
      [...value].map(([key, item]) => [inner(key, `${path}{key}`), inner(item, `${path}{${String(key)}}`)]),
    )
  }
  if (isPlainObject(value)) {
    if (MARK in value) throw new NotSendableError(path, `an object with the reserved key ${MARK}`)
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, inner(field, `${path}.${key}`)]))
  }
  if (isActorRef(value)) {
    const { node, id, path } = known(value)
    return { [MARK]: [node, id, path] } satisfies Marked
  }
  if (isData(value)) return value
  if (value instanceof SharedArrayBuffer) throw new NotSendableError(path, 'a SharedArrayBuffer')
  throw new NotSendableError(path, `an instance of ${value.constructor?.name || 'a class'}`)
}

/** Opens again what {@link pack} made. */
export function unpack(value: unknown, refOf: (node: number, id: number, path: string) => Address): unknown {
  if (typeof value !== 'object' || value === null) return value
  const inner = (field: unknown): unknown => unpack(field, refOf)
  if (Array.isArray(value)) return value.map(inner)
  if (value instanceof Set) return new Set([...value].map(inner))
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [inner(key), inner(item)]))
  if (!isPlainObject(value)) return value
  if (MARK in value) return refOf(...(value as Marked)[MARK])
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, inner(field)]))
}

/** An error, or whatever was thrown, in a form that travels. */
export function sendableError(error: unknown): unknown {
  if (error instanceof Error || scan(error) === PLAIN) return error
  return new Error(`an actor threw what cannot be sent to another thread: ${String(error)}`)
}

function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** What structured cloning copies whole. */
function isData(value: object): boolean {
  if (ArrayBuffer.isView(value)) return !(value.buffer instanceof SharedArrayBuffer)
  return value instanceof ArrayBuffer || value instanceof Date || value instanceof RegExp || value instanceof Error
}
