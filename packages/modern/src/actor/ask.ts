import type { ActorRef, Address } from './ref.js'
import type { ActorSystem } from './system.js'

/** An actor did not answer in time; it may have stopped, or still be about to. */
export class AskTimeoutError extends Error {
  readonly code = 'CS_ASK_TIMEOUT'

  constructor(path: string, timeoutMs: number) {
    super(`${path} has not answered within ${timeoutMs} ms`)
    this.name = 'AskTimeoutError'
  }
}

/** The address for one answer. */
class Answering<Answer> implements Address<Answer> {
  readonly path: string
  id = 0
  readonly #system: ActorSystem
  #answer: ((answer: Answer) => void) | undefined

  constructor(system: ActorSystem, path: string, answer: (answer: Answer) => void) {
    this.path = path
    this.#system = system
    this.#answer = answer
  }

  get node(): number {
    return this.#system.node
  }

  tell(answer: Answer): void {
    const resolve = this.#answer
    if (resolve === undefined) return this.#system.deadLetter(answer, this, 'stopped')
    this.close()
    resolve(answer)
  }

  async offer(answer: Answer): Promise<void> {
    this.tell(answer)
  }

  close(): void {
    this.#answer = undefined
    this.#system.forget(this)
  }

  /** It has no life that could be watched or ended. */
  signal(): void {}
}

/** See {@link ActorSystem.ask}. */
export function ask<Message, Answer>(
  system: ActorSystem,
  actor: ActorRef<Message>,
  make: (replyTo: ActorRef<Answer>) => Message,
  timeoutMs: number,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const replyTo = new Answering<Answer>(system, `${actor.path}/answer`, (answer) => {
      cancel()
      resolve(answer)
    })
    const cancel = system.delay(timeoutMs, () => {
      replyTo.close()
      reject(new AskTimeoutError(actor.path, timeoutMs))
    })
    try {
      actor.tell(make(replyTo))
    } catch (error) {
      cancel()
      replyTo.close()
      reject(error)
    }
  })
}
