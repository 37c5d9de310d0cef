/** The list of all models, one line each: the one place to which a new model is added. */

import type { Model } from '@cs/core'
import { epoll, kqueue, poll, select } from '@cs/io-multiplexing'
import { coroutine, fiber } from '@cs/modern'
import {
  eventLoop,
  halfSyncAsync,
  hybrid,
  leaderFollower,
  pipeline,
  proactor,
  producerConsumer,
  reactor,
} from '@cs/patterns'
import { multiProcess, processPool1, processPool2, singleProcess } from '@cs/process-models'
import { multiThread, threadPool } from '@cs/thread-models'

/** A model of any options, as a registry knows it. */
// biome-ignore lint/suspicious/noExplicitAny: each model has options of its own
export type AnyModel = Model<any>

/** The models in the order in which one should read them. */
export const models: readonly AnyModel[] = [
  singleProcess,
  multiProcess,
  processPool1,
  processPool2,
  multiThread,
  threadPool,
  select,
  poll,
  epoll,
  kqueue,
  reactor,
  proactor,
  eventLoop,
  halfSyncAsync,
  leaderFollower,
  producerConsumer,
  pipeline,
  hybrid,
  coroutine,
  fiber,
]

/** Finds a model by its name; underscores are taken for hyphens. Undefined where there is none. */
export function findModel(name: string): AnyModel | undefined {
  const kebab = name.replaceAll('_', '-')
  return models.find((model) => model.name === kebab)
}

/** Names the family package from which a model comes. */
export function packageOf(model: AnyModel): string {
  return `@cs/${model.family}`
}
