/** cs list: the models, what they need and whether they run here. */

import { type AnyModel, models, packageOf } from '@cs/registry'
import { type CommandDef, defineCommand } from 'citty'
import { fail } from './fail.js'
import { refuseUnknown } from './strict.js'

const definitions = {
  json: { type: 'boolean', description: 'print JSON, with all options, their types and defaults' },
} as const

export const list: CommandDef<typeof definitions> = defineCommand({
  meta: { name: 'list', description: 'List the models' },
  args: definitions,
  run({ args }) {
    try {
      refuseUnknown(args, definitions)
    } catch (error) {
      fail(error)
    }
    process.stdout.write(args.json ? `${JSON.stringify(models.map(entryOf), null, 2)}\n` : tableOf(models))
  },
})

/** What `cs list --json` gives for a model. */
export interface ListEntry {
  readonly name: string
  readonly package: string
  readonly family: string
  readonly summary: string
  /** What the system must have. */
  readonly needs: readonly string[]
  /** Whether the model runs on this machine. */
  readonly runs: boolean
  /** Why it does not. */
  readonly reason?: string
  /** Which of several ways provides the mechanism here; absent where there is one way, the real one. */
  readonly mechanism?: string
  /** Whether `serve({ fetch })` takes a function, or only `serve({ app })` a module. */
  readonly takesFunction: boolean
  readonly options: readonly object[]
}

export function entryOf(model: AnyModel): ListEntry {
  const reason = model.missing()
  const mechanism = reason === undefined ? model.mechanism() : undefined
  return {
    name: model.name,
    package: packageOf(model),
    family: model.family,
    summary: model.summary,
    needs: model.needs,
    runs: reason === undefined,
    ...(reason === undefined ? {} : { reason }),
    ...(mechanism === undefined ? {} : { mechanism }),
    takesFunction: model.takesFunction,
    options: Object.entries(model.options as Record<string, object>).map(([name, spec]) => ({ name, ...spec })),
  }
}

function tableOf(models: readonly AnyModel[]): string {
  const width = Math.max(...models.map(({ name }) => name.length))
  const rows = models.map((model) => {
    const { reason, mechanism } = entryOf(model)
    const note = reason === undefined ? mechanism : `not here: ${reason}`
    return `${model.name.padEnd(width)}  ${model.summary}${note === undefined ? '' : ` (${note})`}\n`
  })
  return rows.join('')
}
