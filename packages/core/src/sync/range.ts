export const INT32_MIN: number = -(2 ** 31)
export const INT32_MAX: number = 2 ** 31 - 1

/** Returns `value` if it is an integer of min..max; throws a RangeError that names the value and the range if not. */
export function inRange(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new RangeError(`${name} must be an integer of ${min}..${max}; it is ${value}`)
}
