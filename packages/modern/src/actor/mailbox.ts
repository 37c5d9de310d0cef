/** How much a mailbox holds, and what becomes of a message for which it has no room. */

/**
 * What happens at a full mailbox:
 *
 *   block         the sender goes on no more, once it is through with its message, until there is room. The messages that it
 *                 sends until then go in; so do those of a sender for which others wait in turn, or a circle of actors
 *                 could stand still for ever. From another thread what is under way by then goes in as well. No thread is
 *                 blocked.
 *   drop-newest   the message is a dead letter
 *   drop-oldest   the oldest message becomes one, to make room
 *   fail          `tell` throws MailboxFullError
 */
export type WhenFull = 'block' | 'drop-newest' | 'drop-oldest' | 'fail'

export interface MailboxOptions {
  /** Messages that it holds, from 1 on. Default: any number. */
  readonly capacity?: number
  /** Default: 'block'. */
  readonly whenFull?: WhenFull
}

const POLICIES: readonly WhenFull[] = ['block', 'drop-newest', 'drop-oldest', 'fail']

/** @throws RangeError, TypeError */
export function checkMailbox({ capacity = 0, whenFull = 'block' }: MailboxOptions): Required<MailboxOptions> {
  if (!Number.isInteger(capacity) || capacity < 0) {
    throw new RangeError(`the capacity of a mailbox is a whole number from 1 on, or left out: ${capacity}`)
  }
  if (!POLICIES.includes(whenFull)) {
    throw new TypeError(`whenFull is one of ${POLICIES.join(', ')}: ${whenFull}`)
  }
  return { capacity, whenFull }
}

/** The mailbox has no room for a message; its sender still has it. */
export class MailboxFullError extends Error {
  readonly code = 'CS_MAILBOX_FULL'

  constructor(path: string, capacity: number, hint = '') {
    super(`the mailbox of ${path} is full: ${capacity} messages wait${hint}`)
    this.name = 'MailboxFullError'
  }
}
