/** The classes of the platform, captured before anything replaces them, and what ties a light class to its real one. */

import { inspect } from 'node:util'

/** Where a light class keeps the real one, so that a second copy of this module on the same thread finds it. */
const REAL: unique symbol = Symbol.for('@cs/core/http/fetch/real') as never

/** The types of @types/node's Fetch that have no global name. */
export type HeadersInit = NonNullable<ConstructorParameters<typeof Headers>[0]>
export type BodyInit = NonNullable<ConstructorParameters<typeof Response>[0]>

type Class<Instance = object> = abstract new (...args: never[]) => Instance

function real<T extends object>(current: T): T {
  return (current as T & { readonly [REAL]?: T })[REAL] ?? current
}

export const RealHeaders: typeof Headers = real(globalThis.Headers)
export const RealRequest: typeof Request = real(globalThis.Request)
export const RealResponse: typeof Response = real(globalThis.Response)
export const realFetch: typeof fetch = real(globalThis.fetch)

/** Marks `light` as the stand-in for `original`, for the next copy of this module. */
export function standsFor<T extends object>(light: T, original: T): void {
  Object.defineProperty(light, REAL, { value: original })
}

/**
 * Makes a light class look like the interface it replaces (Web IDL §3.7): its name and tag, enumerable members,
 * instances that are instances of the real class, and real instances that are instances of the light class.
 */
export function implementsInterface(light: Class, original: Class, name: string): void {
  Object.setPrototypeOf(light.prototype, original.prototype)
  standsFor(light, original)
  Object.defineProperties(light, {
    name: { value: name, configurable: true },
    length: { value: original.length, configurable: true },
    [Symbol.hasInstance]: { value: hasInstanceOf(light, original), configurable: true },
  })
  Object.defineProperty(light.prototype, Symbol.toStringTag, { value: name, configurable: true })
  const names = Object.getOwnPropertyNames(light.prototype)
  makeEnumerable(
    light.prototype,
    names.filter((key) => key !== 'constructor'),
  )
}

/** A subclass inherits this function too, and gets the ordinary answer for itself. */
function hasInstanceOf(light: Class, original: Class): (this: Class, value: unknown) => boolean {
  const ordinary = Function.prototype[Symbol.hasInstance]
  return function hasInstance(value) {
    return ordinary.call(this === light ? original : this, value)
  }
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

/** Gives `light` the members that only the real prototype has (a newer Node's), each answered by a real object. */
export function delegateRest<T extends object>(light: T, original: T, toReal: (self: T) => T): void {
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
