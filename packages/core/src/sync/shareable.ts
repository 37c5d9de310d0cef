/**
 * How shared objects travel to another thread. Structured cloning would turn them into empty objects, in silence; so
 * dehydrate() puts a descriptor in the place of each, and hydrate() on the other thread opens it again.
 *
 *   { queue: BoundedQueue, threads: 2 }  ⇄  { queue: { $shared: { kind, buffer } }, threads: 2 }
 */
import { BoundedQueue } from './bounded-queue.js'
import { Condition } from './condition.js'
import { IdleWorkers } from './idle-workers.js'
import { Mutex } from './mutex.js'
import { RecordRing } from './record-ring.js'
import { Semaphore } from './semaphore.js'
import type { Shared } from './shared.js'
import { WorkStealingDeque } from './work-stealing-deque.js'

/** An object in shared memory that can describe itself for another thread. */
export interface Shareable {
  share(): Shared
}

/** A class of such objects. */
export interface ShareableClass<T extends Shareable = Shareable> {
  readonly name: string
  from(shared: Shared): T
  [Symbol.hasInstance](value: unknown): boolean
}

declare const origin: unique symbol

/** A `T` on its way to another thread, structured-cloneable. */
export interface Dehydrated<T> {
  readonly [origin]?: T
}

/** The key of an object that stands for a shareable one; no other object may have it. */
const MARK = '$shared'

const kinds = new Map<string, ShareableClass>([
  ['mutex', Mutex],
  ['condition', Condition],
  ['semaphore', Semaphore],
  ['bounded-queue', BoundedQueue],
  ['record-ring', RecordRing],
  ['idle-workers', IdleWorkers],
  ['work-stealing-deque', WorkStealingDeque],
])

/**
 * Lets objects of `Class`, whose share() names this kind, travel; both threads must have registered it. Throws Error
 * when another class has the kind. Any thread, for itself.
 */
export function registerShareable(kind: string, Class: ShareableClass): void {
  const other = kinds.get(kind)
  if (other && other !== Class) throw new Error(`the kind '${kind}' is already that of the class ${other.name}`)
  kinds.set(kind, Class)
}

/**
 * Copies plain objects and arrays with each shareable object replaced by its descriptor; other data is left as it is.
 * Throws TypeError, with the path of the field, for what would not arrive: instances of other classes, functions,
 * symbols and circular references. Any thread.
 */
export function dehydrate<T>(value: T): Dehydrated<T> {
  return dry(value, 'value', []) as Dehydrated<T>
}

/**
 * Opens again what dehydrate() made; throws TypeError, with the path, for a kind this thread has not registered. Any
 * thread.
 */
export function hydrate<T>(value: Dehydrated<T>): T {
  return wet(value, 'value') as T
}

function dry(value: unknown, path: string, parents: readonly unknown[]): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') throw refused(path, `a ${typeof value}`)
  if (typeof value !== 'object' || value === null || isData(value)) return value
  if (isShareable(value)) return { [MARK]: value.share() }
  if (parents.includes(value)) throw refused(path, 'a circular reference')
  if (!isWalkable(value)) throw refused(path, `an instance of ${value.constructor?.name || 'a class'}`)
  if (Object.hasOwn(value, MARK)) throw refused(path, `an object with the reserved key ${MARK}`)
  return mapFields(value, path, (field, at) => dry(field, at, [...parents, value]))
}

function wet(value: unknown, path: string): unknown {
  if (typeof value !== 'object' || value === null || !isWalkable(value)) return value
  if (Object.hasOwn(value, MARK)) return open((value as { readonly [MARK]: Shared })[MARK], path)
  return mapFields(value, path, wet)
}

function open(shared: Shared, path: string): Shareable {
  const Class = kinds.get(shared.kind)
  if (Class) return Class.from(shared)
  throw new TypeError(`${path} is of the kind '${shared.kind}', unknown here: import the module that registers it`)
}

function mapFields(value: object, path: string, map: (field: unknown, path: string) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item, index) => map(item, `${path}[${index}]`))
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, map(field, `${path}.${key}`)]))
}

function isShareable(value: object): value is Shareable {
  for (const Class of kinds.values()) if (value instanceof Class) return true
  return false
}

/** Arrays and plain objects, those of another realm too. */
function isWalkable(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return Array.isArray(value) || prototype === null || Object.getPrototypeOf(prototype) === null
}

/** What structured cloning copies, or shares, whole. */
function isData(value: object): boolean {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return true
  return value instanceof Date || value instanceof RegExp || value instanceof Error
}

function refused(path: string, what: string): TypeError {
  return new TypeError(`${path} is ${what}, which cannot travel to another thread`)
}
