/** All models, loaded; `@cs/registry/load` loads one of them alone. */

import { type AnyModel, inKebabCase, loadModels } from './load.js'

export type { AnyModel } from './load.js'

/** The models in the order in which one should read them. */
export const models: readonly AnyModel[] = await loadModels()

/** Finds a model by its name; underscores are taken for hyphens. Undefined where there is none. */
export function findModel(name: string): AnyModel | undefined {
  const known = inKebabCase(name)
  return models.find((model) => model.name === known)
}

/** Names the family package from which a model comes. */
export function packageOf(model: AnyModel): string {
  return `@cs/${model.family}`
}
