/** The classes of the platform, captured before anything replaces them, and what ties a light class to its real one. */

import { inspect } from 'node:util'

/** Where a light class keeps the real one, so that a second copy of this module on the same thread finds it. */
const REAL: unique symbol = Symbol.for('@cs/core/http/fetch/real') as never

/** The types of @types/node's Fetch that have no global name. */
export type HeadersInit = NonNullable<ConstructorParameters<typeof Headers>[0]>
export type BodyInit = NonNullable<ConstructorParameters<typeof Response>[0]>

type Class<Instance = object> = abstract new (...args: never[]) => Instance

/**
 * A class of the platform, which loads it (and all of undici: 40 ms of CPU time and 3 MB a thread) when somebody asks for the first time. As
 * long as nobody has, no object can be an instance of it, and the light class can do without.
 */
class Original<T extends Class> {
  readonly #name: string
  readonly #read: () => T
  #value: T | undefined
  #onLoad: (value: T) => void = () => {}

  constructor(name: string) {
    this.#name = name
    const { get, value } = Object.getOwnPropertyDescriptor(globalThis, name) ?? {}
    this.#read = () => value?.[REAL] ?? value ?? get?.call(globalThis)
    if (value !== undefined && !Object.hasOwn(value, REAL)) this.#value = value
  }

  /** The class itself. */
  readonly get = (): T => {
    if (this.#value === undefined) {
      const current = Object.getOwnPropertyDescriptor(globalThis, this.#name)
      this.#value = this.#read()
      if (current?.value !== undefined) Object.defineProperty(globalThis, this.#name, current) // node puts its own there
      this.#onLoad(this.#value)
    }
    return this.#value
  }

  /** Calls back when the class is there: at once, or when it is first asked for. */
  onLoad(callback: (value: T) => void): void {
    if (this.#value === undefined) this.#onLoad = callback
    else callback(this.#value)
  }
}

const headers = new Original<typeof Headers>('Headers')
const request = new Original<typeof Request>('Request')
const response = new Original<typeof Response>('Response')

/** Give the class of the platform, which is loaded by the first call. */
export const realHeaders: () => typeof Headers = headers.get
export const realRequest: () => typeof Request = request.get
export const realResponse: () => typeof Response = response.get

/** The platform's fetch, a function that loads what it needs when it is called. */
export const realFetch: typeof fetch =
  (globalThis.fetch as { readonly [REAL]?: typeof fetch })[REAL] ?? globalThis.fetch

/** Marks `light` as the stand-in for an original, for the next copy of this module. */
export function standsFor(light: object, original: () => unknown): void {
  Object.defineProperty(light, REAL, { get: original })
}

/** What ties a light class to the real one. */
interface Tie<T extends object> {
  /** How many arguments the constructor declares. */
  readonly length: number
  /** Makes a real object that equals a light one, for members that only the real prototype has (a newer Node's). */
  readonly toReal?: (self: T) => T
}

/**
 * Makes a light class look like the interface it replaces (Web IDL §3.7): its name and tag, enumerable members,
 * instances that are instances of the real class, and real instances that are instances of the light class.
 */
export function implementsInterface<T extends object>(
  light: Class<T>,
  name: 'Headers' | 'Request' | 'Response',
  { length, toReal }: Tie<T>,
): void {
  const original = { Headers: headers, Request: request, Response: response }[name] as unknown as Original<Class<T>>
  standsFor(light, original.get)
  Object.defineProperties(light, {
    name: { value: name, configurable: true },
    length: { value: length, configurable: true },
    [Symbol.hasInstance]: { value: hasInstanceOf(light, original.get), configurable: true },
  })
  Object.defineProperty(light.prototype, Symbol.toStringTag, { value: name, configurable: true })
  const names = Object.getOwnPropertyNames(light.prototype)
  makeEnumerable(
    light.prototype,
    names.filter((key) => key !== 'constructor'),
  )
  original.onLoad((real) => {
    Object.setPrototypeOf(light.prototype, real.prototype)
    if (toReal !== undefined) delegateRest(light.prototype as T, real.prototype as T, toReal)
  })
}

/** A subclass inherits this function too, and gets the ordinary answer for itself. */
function hasInstanceOf(light: Class, original: () => Class): (this: Class, value: unknown) => boolean {
  const ordinary = Function.prototype[Symbol.hasInstance]
  return function hasInstance(value) {
    return ordinary.call(this, value) || (this === light && isObject(value) && ordinary.call(original(), value))
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

/** Makes console.log print what the standard lets one see, as the real classes do. */
export function inspectsAs<T extends object>(light: T, name: string, shown: (self: T) => object): void {
  Object.defineProperty(light, inspect.custom, {
    configurable: true,
    value(this: T, _depth: number, options: object) {
      return `${name} ${inspect(shown(this), options)}`
    },
  })
}

/** Gives these members of an object as a plain one. */
export function pickMembers<T extends object>(self: T, keys: readonly (keyof T)[]): object {
  return Object.fromEntries(keys.map((key) => [key, self[key]]))
}

/** Makes members enumerable, as those of a Web IDL interface are. */
export function makeEnumerable(target: object, names: readonly string[]): void {
  for (const name of names) Object.defineProperty(target, name, { enumerable: true })
}

/** Gives `light` the members that only the real prototype has, each answered by a real object. */
function delegateRest<T extends object>(light: T, original: T, toReal: (self: T) => T): void {
  for (const [key, member] of Object.entries(Object.getOwnPropertyDescriptors(original))) {
    if (Object.hasOwn(light, key)) continue
    if (member.get !== undefined) {
      const read = member.get
      Object.defineProperty(light, key, {
        ...member,
        get(this: T) {
          return read.call(toReal(this))
        },
      })
    } else if (typeof member.value === 'function') {
      const method = member.value
      Object.defineProperty(light, key, {
        ...member,
        value(this: T, ...args: unknown[]) {
          return method.apply(toReal(this), args)
        },
      })
    }
  }
}
