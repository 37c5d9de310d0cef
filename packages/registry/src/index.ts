/** All models, loaded; `@cs/registry/load` loads one of them alone. */

import { type AnyModel, loadModels } from './load.js'

export type { AnyModel } from './load.js'

/** The models in the order in which one should read them. */
export const models: readonly AnyModel[] = await loadModels()

/** Finds a model by its name; underscores are taken for hyphens. Undefined where there is none. */
export function findModel(name: string): AnyModel | undefined {
  const kebab = name.replaceAll('_', '-')
  return models.find((model) => model.name === kebab)
}

/** Names the family package from which a model comes. */
export function packageOf(model: AnyModel): string {
  return `@cs/${model.family}`
}
