import { READABLE, WRITABLE } from '@cs/core'

/** What a handler is registered for, and told of. */
export const EventType: { readonly input: number; readonly output: number; readonly none: 0 } = {
  input: READABLE,
  output: WRITABLE,
  none: 0,
}

/** Sums of {@link EventType}. */
export type EventTypes = number

/**
 * Handles the events of one handle. A handler is registered with a reactor, which calls its hooks; none of them may block.
 *
 * @example
 * class Greeter extends EventHandler {
 *   constructor(readonly handle: number) { super() }
 *   override handleInput(): void { ... }
 * }
 * reactor.registerHandler(new Greeter(fd), EventType.input)
 */
export abstract class EventHandler {
  /** The descriptor; the same for as long as the handler is registered. */
  abstract readonly handle: number

  /** The handle can be read, or its end or an error would be met by reading. */
  handleInput(): void {}

  /** The handle can be written, or an error would be met by writing. */
  handleOutput(): void {}

  /** The handler is registered no more; the handle, unless it was closed already, is the handler's to close. */
  handleClose(): void {}
}
