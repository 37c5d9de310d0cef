/** The checks a value passes before its address leaves TypeScript. They cost a few nanoseconds. */

function isAttached(bytes: Uint8Array): boolean {
  try {
    return new Uint8Array(bytes.buffer).length >= 0
  } catch {
    return false // a view over a detached buffer cannot be made
  }
}

function refuse(bytes: Uint8Array, offset: number, length: number): never {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('the buffer must be a Uint8Array')
  if (!isAttached(bytes)) throw new RangeError('the buffer is detached: its memory was transferred to another thread')
  throw new RangeError(`offset ${offset} and length ${length} do not lie within a buffer of ${bytes.length} bytes`)
}

/**
 * Returns the view whose first byte is `offset`, once `length` bytes from there are known to lie inside.
 * @throws RangeError where they do not, where one of both is no integer, or where the buffer is detached
 */
export function within(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  // x >>> 0 === x holds for the integers from 0 to 2^32 - 1 alone: NaN, fractions and negatives fail it.
  if (offset >>> 0 !== offset || length >>> 0 !== length) refuse(bytes, offset, length)
  if (!(bytes instanceof Uint8Array) || offset + length > bytes.length) refuse(bytes, offset, length)
  if (bytes.length === 0 && !isAttached(bytes)) refuse(bytes, offset, length)
  return offset === 0 ? bytes : bytes.subarray(offset)
}

/** Refuses what is no int32 (koffi would turn NaN into descriptor 0): RangeError. */
export function integer(n: number, what: string): number {
  if ((n | 0) !== n) throw new RangeError(`${what} must be a 32-bit integer: ${n}`)
  return n
}

/** Refuses what is no int32, as a descriptor: RangeError. */
export function descriptor(fd: number): number {
  if ((fd | 0) !== fd) throw new RangeError(`a descriptor must be a 32-bit integer: ${fd}`)
  return fd
}

/** Refuses sizes and addresses that are no safe integer from `least` on: RangeError. */
export function natural(n: number, what: string, least = 0): number {
  if (!Number.isSafeInteger(n) || n < least) throw new RangeError(`${what} must be an integer from ${least} on: ${n}`)
  return n
}

/** Makes a timeout in ms an int: fractions round up (a wait never ends early), above 2^31 - 1 is for ever. */
export function timeout(ms: number): number {
  if ((ms | 0) === ms) return ms
  if (Number.isNaN(ms)) throw new RangeError('a timeout must be a number of milliseconds')
  if (ms < 0 || ms > 0x7fffffff) return -1
  return Math.ceil(ms)
}

/** Makes a timeout in ms a `struct timespec`, or NULL where it is for ever (below 0, Infinity); fractions round up. */
export function timespec(ms: number): BigInt64Array | null {
  if (Number.isNaN(ms)) throw new RangeError('a timeout must be a number of milliseconds')
  if (ms < 0 || ms === Number.POSITIVE_INFINITY) return null
  const ns = BigInt(Math.ceil(ms * 1e6))
  return new BigInt64Array([ns / 1_000_000_000n, ns % 1_000_000_000n])
}

/** Refuses a string with a NUL in it, at which C would stop reading: RangeError. */
export function text(value: string, what: string): string {
  if (value.includes('\0')) throw new RangeError(`${what} must not contain a NUL character`)
  return value
}
