/** What tests of actors have in common. */

import { type ActorRef, ActorSystem, Behaviors, type SystemOptions } from '@cs/modern/actor'
import { onTestFinished } from 'vitest'

/** A system that ends with the test, and tells its log instead of standard error. */
export function systemForTest(options: SystemOptions = {}): ActorSystem & { readonly logged: string[] } {
  const logged: string[] = []
  const system = new ActorSystem({ log: (message) => logged.push(message), ...options })
  onTestFinished(async () => {
    await system.terminate()
  })
  return Object.assign(system, { logged })
}

/** An actor that keeps what it is told. */
export class Probe<Message> {
  readonly ref: ActorRef<Message>
  readonly seen: Message[] = []
  #changed: () => void = () => {}

  constructor(system: ActorSystem) {
    this.ref = system.spawn<Message>(
      Behaviors.receive((_, message) => {
        this.seen.push(message)
        this.#changed()
        return Behaviors.same
      }),
    )
  }

  /** Waits until so many messages have come. */
  async has(count: number): Promise<Message[]> {
    const end = Date.now() + 10_000
    while (this.seen.length < count) {
      if (Date.now() > end) throw new Error(`${this.seen.length} messages instead of ${count}: ${this.seen.join(', ')}`)
      await new Promise<void>((resolve) => {
        this.#changed = resolve
        setTimeout(resolve, 100)
      })
    }
    return this.seen
  }
}

/** Waits until a condition holds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not in 10 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
