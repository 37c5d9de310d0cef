/** Who receives what {@link measureMessages} sends, on whichever thread; and a thread that does without actors. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { type ActorRef, type Behavior, Behaviors } from '@cs/modern/actor'

/** What a stream consists of, and its end. */
export type Item = { readonly n: number; readonly text: string } | { readonly end: ActorRef<'done'> }

/** What goes to and fro. */
export interface Ball {
  readonly n: number
  readonly from: ActorRef<Ball>
}

/** Takes items until the end, and says so. */
export function counting(): Behavior<Item> {
  return Behaviors.receive((_, item) => {
    if (!('end' in item)) return Behaviors.same
    item.end.tell('done')
    return Behaviors.stopped
  })
}

/** Sends back what it gets, counted. */
export function returning(): Behavior<Ball> {
  return Behaviors.receive(({ self }, { n, from }) => {
    from.tell({ n: n + 1, from: self })
    return Behaviors.same
  })
}

// A thread of actors imports this module too, and has data of its own.
if (!isMainThread && workerData === undefined) {
  parentPort?.on('message', (message: unknown) => {
    if (message === 'end') parentPort?.postMessage('done')
  })
}
