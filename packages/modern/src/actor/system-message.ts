/** What actors and their parents and watchers tell each other beneath the messages of users. */

import type { Address } from './ref.js'

export type SystemMessage =
  | { readonly type: 'stop' | 'restart' | 'resume' }
  /** A child, by its slot, has failed, or has ended. */
  | { readonly type: 'failed'; readonly slot: number; readonly error: unknown }
  | { readonly type: 'ended'; readonly slot: number }
  | { readonly type: 'watch' | 'unwatch'; readonly watcher: Address }
  | { readonly type: 'terminated'; readonly actor: Address; readonly error: unknown }
  /** An asynchronous handler has come to its end. */
  | { readonly type: 'resolved'; readonly work: object; readonly value: unknown }
  | { readonly type: 'rejected'; readonly work: object; readonly error: unknown }

/** What an actor is told of what happens to it and to those it watches. */
export type Signal =
  /** It has stopped, and so have its children: the last thing that it hears. */
  | { readonly type: 'post-stop' }
  /** It has failed, and will begin anew. */
  | { readonly type: 'pre-restart'; readonly error: unknown }
  /** An actor that it watches has stopped; with the error if it failed. */
  | { readonly type: 'terminated'; readonly actor: Address; readonly error: unknown }
