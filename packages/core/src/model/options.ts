/** The options of a model: what a user may set, checked once, before anything is started. */

/** An option that was given a value it cannot have. */
export class OptionError extends Error {
  readonly code: string = 'ERR_CS_OPTION'
  override readonly name: string = 'OptionError'
}

/** How one option is described, checked, and read from a command line. */
export interface OptionSpec<T> {
  readonly type: 'integer' | 'boolean' | 'choice'
  readonly description: string
  readonly default: T
  readonly min?: number
  readonly max?: number
  readonly choices?: readonly string[]
}

/** One description for each option. */
export type OptionSpecs<Options> = { readonly [Name in keyof Options]: OptionSpec<Options[Name]> }

/** Describes a whole number, between `min` and `max` inclusive. */
export function integer(
  description: string,
  settings: { readonly default: number; readonly min?: number; readonly max?: number },
): OptionSpec<number> {
  return { type: 'integer', description, min: 0, max: 2 ** 31 - 1, ...settings }
}

/** Describes a time in milliseconds, 0 for no limit, up to a day. */
export function milliseconds(description: string, settings: { readonly default: number }): OptionSpec<number> {
  return integer(`${description}, in ms; 0: no limit`, { ...settings, max: 86_400_000 })
}

/** Describes a switch. */
export function flag(description: string, settings: { readonly default: boolean }): OptionSpec<boolean> {
  return { type: 'boolean', description, ...settings }
}

/** Describes one of several words. */
export function choice<T extends string>(
  description: string,
  settings: { readonly default: T; readonly choices: readonly T[] },
): OptionSpec<T> {
  return { type: 'choice', description, ...settings }
}

/**
 * Checks values against their descriptions and fills in defaults. Strings are taken as on a command line.
 * @throws OptionError that names the option, the value and what is allowed
 */
export function checkOptions<Options>(
  specs: OptionSpecs<Options>,
  given: Readonly<Record<string, unknown>>,
  model: string,
): Options {
  for (const name of Object.keys(given)) {
    if (given[name] !== undefined && !Object.hasOwn(specs, name)) {
      throw new OptionError(`${model} has no option '${name}'; it has: ${Object.keys(specs).join(', ')}`)
    }
  }
  const checked: Record<string, unknown> = {}
  for (const [name, spec] of Object.entries(specs) as [string, OptionSpec<unknown>][]) {
    checked[name] = given[name] === undefined ? spec.default : checkOption(name, spec, given[name])
  }
  return checked as Options
}

function checkOption(name: string, spec: OptionSpec<unknown>, value: unknown): unknown {
  const parsed = typeof value === 'string' ? fromText(spec, value) : value
  if (!allowed(spec, parsed)) {
    throw new OptionError(`option '${name}' cannot be ${show(value)}: it takes ${describe(spec)} (${spec.description})`)
  }
  return parsed
}

function fromText(spec: OptionSpec<unknown>, text: string): unknown {
  if (spec.type === 'integer') return /^-?\d+$/.test(text) ? Number(text) : text
  if (spec.type === 'boolean') return text === 'true' || (text === 'false' ? false : text)
  return text
}

function allowed(spec: OptionSpec<unknown>, value: unknown): boolean {
  if (spec.type === 'boolean') return typeof value === 'boolean'
  if (spec.type === 'choice') return spec.choices!.includes(value as string)
  return Number.isInteger(value) && (value as number) >= spec.min! && (value as number) <= spec.max!
}

function describe(spec: OptionSpec<unknown>): string {
  if (spec.type === 'boolean') return 'true or false'
  if (spec.type === 'choice') return spec.choices!.join(' or ')
  return `a whole number from ${spec.min} to ${spec.max}`
}

function show(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value)
}
