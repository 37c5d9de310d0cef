/** What a suite compares: models with some of their options, each under a name of its own. */
import { type ModelEntry, modelServer, type ServerSpec } from './servers.js'
import type { Selection, Skip } from './suite.js'

/** A server of a suite: a model with options it must have, and with those that are set only where it has them. */
export interface Contender {
  readonly name: string
  readonly model: string
  readonly needs?: Readonly<Record<string, string>>
  readonly takes?: Readonly<Record<string, string>>
  readonly bound?: ServerSpec['bound']
  readonly scenarios?: ServerSpec['scenarios']
}

/** All that a suite may choose from. */
export interface Field {
  readonly suite: string
  /** What is measured in any case, before the models. */
  readonly reference: readonly ServerSpec[]
  readonly contenders: readonly Contender[]
  /** Options for all models. */
  readonly settings?: Readonly<Record<string, string>>
}

/** The servers of a suite that are here; `wanted` names models and leaves out the others. @throws on an unknown one */
export function selectFrom(
  { suite, reference, contenders, settings = {} }: Field,
  known: readonly ModelEntry[],
  wanted: readonly string[] | undefined,
): Selection {
  const models = [...new Set(contenders.map((contender) => contender.model))]
  const unknown = wanted?.find((model) => !models.includes(model))
  if (unknown !== undefined) throw new Error(`the suite ${suite} has no '${unknown}'; it has: ${models.join(', ')}`)
  const asked = contenders.filter(({ model }) => wanted?.includes(model) ?? true)
  const found = asked.map((contender) => specOf(contender, known, settings))
  const servers = found.filter((each): each is ServerSpec => 'command' in each)
  return { servers: [...reference, ...servers], skipped: found.filter((each): each is Skip => 'reason' in each) }
}

function specOf(
  { name, model, needs = {}, takes = {}, bound, scenarios }: Contender,
  known: readonly ModelEntry[],
  common: Readonly<Record<string, string>>,
): ServerSpec | Skip {
  const entry = known.find((each) => each.name === model)
  if (entry === undefined) return { server: name, reason: `there is no model ${model}` }
  if (!entry.runs) return { server: name, reason: entry.reason ?? 'it does not run on this machine' }
  const missing = Object.entries(needs).find(([option, value]) => !takesValue(entry, option, value))
  if (missing !== undefined) return { server: name, reason: `${model} has no option ${missing.join('=')}` }
  const own = Object.entries(takes).filter(([option, value]) => takesValue(entry, option, value))
  const settings = { ...common, ...needs, ...Object.fromEntries(own) }
  return {
    ...modelServer(model, settings),
    name,
    ...(bound === undefined ? {} : { bound }),
    ...(scenarios === undefined ? {} : { scenarios }),
  }
}

/** An option without choices takes any value that it checks itself. */
function takesValue(entry: ModelEntry, name: string, value: string): boolean {
  const option = entry.options.find((each) => each.name === name)
  return option !== undefined && (option.choices?.includes(value) ?? true)
}
