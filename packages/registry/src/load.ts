/** Where each model is loaded from, so that whoever needs one need not load them all. */

import type { Model } from '@cs/core'

/** A model of any options, as a registry knows it. */
// biome-ignore lint/suspicious/noExplicitAny: each model has options of its own
export type AnyModel = Model<any>

/** One line a model, in the order in which one should read them: the one place to which a new model is added. */
const loaders: Readonly<Record<string, () => Promise<AnyModel>>> = {
  'single-process': async () => (await import('@cs/process-models/single-process')).singleProcess,
  'multi-process': async () => (await import('@cs/process-models/multi-process')).multiProcess,
  'process-pool1': async () => (await import('@cs/process-models/process-pool1')).processPool1,
  'process-pool2': async () => (await import('@cs/process-models/process-pool2')).processPool2,
  'multi-thread': async () => (await import('@cs/thread-models/multi-thread')).multiThread,
  'thread-pool': async () => (await import('@cs/thread-models/thread-pool')).threadPool,
  select: async () => (await import('@cs/io-multiplexing/select')).select,
  poll: async () => (await import('@cs/io-multiplexing/poll')).poll,
  epoll: async () => (await import('@cs/io-multiplexing/epoll')).epoll,
  kqueue: async () => (await import('@cs/io-multiplexing/kqueue')).kqueue,
  reactor: async () => (await import('@cs/patterns/reactor')).reactor,
  proactor: async () => (await import('@cs/patterns/proactor')).proactor,
  'event-loop': async () => (await import('@cs/patterns/event-loop')).eventLoop,
  'half-sync-async': async () => (await import('@cs/patterns/half-sync-async')).halfSyncAsync,
  'leader-follower': async () => (await import('@cs/patterns/leader-follower')).leaderFollower,
  'producer-consumer': async () => (await import('@cs/patterns/producer-consumer')).producerConsumer,
  pipeline: async () => (await import('@cs/patterns/pipeline')).pipeline,
  'work-stealing': async () => (await import('@cs/patterns/work-stealing')).workStealing,
  hybrid: async () => (await import('@cs/patterns/hybrid')).hybrid,
  coroutine: async () => (await import('@cs/modern/coroutine')).coroutine,
  fiber: async () => (await import('@cs/modern/fiber')).fiber,
  actor: async () => (await import('@cs/modern/actor')).actor,
}

/** The names of the models in the order in which one should read them. */
export const modelNames: readonly string[] = Object.keys(loaders)

/** Loads a model by its name; underscores are taken for hyphens. Undefined where there is none. */
export async function loadModel(name: string): Promise<AnyModel | undefined> {
  const known = inKebabCase(name)
  return Object.hasOwn(loaders, known) ? loaders[known]!() : undefined
}

/** The name as the registry has it. */
export function inKebabCase(name: string): string {
  return name.replaceAll('_', '-')
}

/** Loads all models, in the order of {@link modelNames}. */
export function loadModels(): Promise<readonly AnyModel[]> {
  return Promise.all(Object.values(loaders).map((load) => load()))
}
