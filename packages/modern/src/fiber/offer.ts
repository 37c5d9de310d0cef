import { Operation, type Task } from '@cs/core/coroutine'
import type { Waiter, WaitList } from './wait-list.js'

/** Who hears what has become of an offer that was made along with others. */
export interface Chooser {
  accepted(offer: Offer<unknown>, value: unknown): void
  refused(offer: Offer<unknown>, error: unknown): void
}

/** Something that one waits for alone, by `yield*`, or among others, by select(). Each offer is made once. */
export abstract class Offer<T> extends Operation<T> implements Waiter {
  abstract readonly what: string
  task: Task | undefined
  chooser: Chooser | undefined
  line: WaitList<Waiter> | undefined
  previousInLine: Waiter | undefined
  nextInLine: Waiter | undefined

  /** Comes about at once if it can; tells whether it has, or has failed. */
  abstract attempt(): boolean

  /** Waits until somebody else has it come about. */
  abstract enlist(): void

  /** Is not wanted any more. */
  withdraw(): void {
    this.line?.remove(this)
  }

  suspend(task: Task): void {
    this.task = task
    if (!this.attempt()) this.enlist()
  }

  abandon(): void {
    this.withdraw()
  }

  succeed(value: T): void {
    if (this.chooser === undefined) this.task!.resume(value)
    else this.chooser.accepted(this, value)
  }

  fail(error: unknown): void {
    if (this.chooser === undefined) this.task!.fail(error)
    else this.chooser.refused(this, error)
  }
}
