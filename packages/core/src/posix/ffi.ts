/**
 * The door itself: the only file of the project that loads koffi, small enough to be rewritten over `node:ffi` one day.
 *
 * koffi and each C function are loaded by the first call that needs them, never by an import. Measured on Node 20: a
 * function returning `int` costs the same as one returning `int64_t` (both about 0.2 µs over the system call), so
 * results are `int`: Linux moves at most 0x7ffff000 bytes a call. Lengths stay `size_t`, because the callee reads 64
 * bits.
 */
import { createRequire } from 'node:module'
import type { SocketAddress } from './address.js'
import { PosixError, UnsupportedError } from './errors.js'
import { isSupported, platformName } from './platform.js'

type Koffi = typeof import('koffi').default
type Library = ReturnType<Koffi['load']>

/** What a C pointer parameter takes: bytes of JavaScript, whose address the callee sees, or NULL. */
export type Pointer = NodeJS.ArrayBufferView | null

type Argument<T extends string> = T extends `const char*${string}`
  ? string
  : T extends `${string}*${string}`
    ? Pointer
    : number | bigint

type Arguments<T extends string> = T extends ''
  ? []
  : T extends '...'
    ? unknown[]
    : T extends `${infer First}, ${infer Rest}`
      ? [Argument<First>, ...Arguments<Rest>]
      : [Argument<T>]

/** The TypeScript type of a C prototype: `'int listen(int fd, int backlog)'` is `(…: [number, number]) => number`. */
export type Prototype<T extends string> = T extends `${infer Result}(${infer Parameters})`
  ? (...args: Arguments<Parameters>) => Result extends `void ${string}` ? void : number
  : never

type CFunction = (...args: unknown[]) => number
type Table = Record<string, CFunction>

let koffi: Koffi | undefined
const libraries = new Map<string | null, Library>()
const binders: (() => CFunction)[] = []

function load(): Koffi {
  if (koffi) return koffi
  if (!isSupported) throw new UnsupportedError('system calls', 'they are known for Linux, macOS and FreeBSD')
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi
  } catch (cause) {
    throw new UnsupportedError('koffi', `install it with its prebuilt binary for ${platformName}`, { cause })
  }
  return koffi
}

function open(name: string | null): Library {
  const known = libraries.get(name)
  if (known !== undefined) return known
  const koffi = load()
  try {
    const library = koffi.load(name)
    libraries.set(name, library)
    return library
  } catch (cause) {
    throw new UnsupportedError(String(name), 'the library is not installed', { cause })
  }
}

function find(prototype: string, library: string | null): CFunction {
  const exports = open(library)
  try {
    return exports.func(prototype)
  } catch (cause) {
    const name = /(\w+)\(/.exec(prototype)?.[1]
    throw new UnsupportedError(
      `${name}()`,
      library === null ? 'the C library and node do not export it' : `${library} does not export it`,
      { cause },
    )
  }
}

/**
 * Declares C functions by their prototypes; each is looked up at its first call, which throws UnsupportedError where the
 * platform lacks it, and then stands in the table itself, so that a later call costs one property load more than koffi's.
 *
 * @param library the shared library that has them, loaded by the first call; default: what the process has loaded already
 */
export function declare<const T extends Readonly<Record<string, string>>>(
  prototypes: T,
  library: string | null = null,
): { readonly [K in keyof T]: Prototype<T[K]> } {
  const table: Table = {}
  for (const [name, prototype] of Object.entries(prototypes)) {
    const bind = () => {
      table[name] = find(prototype, library)
      return table[name]
    }
    table[name] = (...args) => bind()(...args)
    if (library === null) binders.push(bind) // a library of its own is loaded for who asks for it, not by bindAll
  }
  return table as { readonly [K in keyof T]: Prototype<T[K]> }
}

/**
 * Looks up every function of the process declared so far that this platform has. A forked child would otherwise do it anew each time, and a
 * worker thread must not be terminated while koffi does it: koffi then ends the whole process.
 */
export function bindAll(): void {
  load()
  for (const bind of binders) {
    try {
      bind()
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error // a call to it will say what is missing
    }
  }
}

/** Returns -errno of the call just made on this thread. Valid only directly after a call that failed. */
export function lastError(): number {
  return -load().errno()
}

/** The result of a hot call: n >= 0 as it is, -1 as -errno. */
export function outcome(result: number): number {
  return result === -1 ? lastError() : result
}

/** The result of a set-up call: n >= 0 as it is, -1 thrown as PosixError. */
export function check(result: number, syscall: string, subject?: SocketAddress | string): number {
  if (result === -1) throw new PosixError(syscall, lastError(), subject)
  return result
}

/** Returns the address of the first byte of a view. The caller keeps the view alive while the address is in use. */
export function addressOf(view: NodeJS.ArrayBufferView): bigint {
  return load().address(view)
}

/** Makes an ArrayBuffer over memory that JavaScript does not own, without a copy. */
export function viewOf(address: number, size: number): ArrayBuffer {
  return load().view(address, size)
}
