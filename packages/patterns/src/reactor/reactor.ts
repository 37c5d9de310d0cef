/**
 * The Reactor (POSA2 §3): demultiplexes events of many handles and dispatches them to handlers, on one thread.
 *
 *   registerHandler ─▶ handler table, demultiplexer        handleEvents: wait ─▶ for each ready handle ─▶ its handler's hook
 *
 *   registerHandler(handler, types)   from now on the handler's hooks are called for these events
 *   changeTypes(handler, types)       for others; EventType.none keeps it registered and tells errors at most
 *   removeHandler(handler)            no more, not even in this turn; then handleClose; must come before close(2)
 *   closed(handle)                    the same for a handle that was closed already: cheaper than removeHandler
 *   handleEvents(timeout)             waits once, and dispatches what came; throws what a hook throws
 *
 * Level-triggered: what a hook leaves is told again. A broken handle is told as input and output, whatever it is registered for,
 * where the system call cannot help it. All methods but `wake` are for the reactor's own thread.
 */

import {
  type Demultiplexer,
  type DemultiplexerName,
  type Ledger,
  NestedLibuv,
  openDemultiplexer,
  WOKEN,
} from '@cs/core'
import { type EventHandler, EventType, type EventTypes } from './event-handler.js'

export interface ReactorSettings {
  /** The system call, or a demultiplexer that is at hand. Default: epoll, where there is one. */
  readonly demultiplexer?: DemultiplexerName | Demultiplexer
  /** Is called after each wait, before any hook. */
  readonly awake?: () => void
}

export class Reactor {
  /** The reactor of the calling thread, that an app may register handlers of its own with; undefined where none runs. */
  static current: Reactor | undefined

  readonly demux: Demultiplexer
  /** Is told of handles that are ready and have no handler: somebody registered them with the demultiplexer itself. */
  otherwise: (handle: number) => void = () => {}
  readonly #awake: () => void
  readonly #handlers: (EventHandler | undefined)[] = []
  #size = 0
  #ended = false

  /** @throws UnsupportedError where the system lacks the call, PosixError */
  constructor({ demultiplexer, awake = () => {} }: ReactorSettings = {}) {
    this.#awake = awake
    if (typeof demultiplexer === 'object') this.demux = demultiplexer
    else this.demux = openDemultiplexer(demultiplexer === undefined ? {} : { demultiplexer })
  }

  /** The number of handlers that are registered. */
  get size(): number {
    return this.#size
  }

  /** What it holds, for whoever must close it when its thread has died. */
  get descriptors(): readonly number[] {
    return this.demux.descriptors
  }

  /** @throws Error where another handler has the handle, PosixError and RangeError where it cannot be watched */
  registerHandler(handler: EventHandler, types: EventTypes): void {
    const { handle } = handler
    const other = this.#handlers[handle]
    if (other !== undefined && other !== handler) throw new Error(`handle ${handle} has a handler already`)
    this.demux.add(handle, types)
    if (other === undefined) this.#size++
    this.#handlers[handle] = handler
  }

  changeTypes(handler: EventHandler, types: EventTypes): void {
    if (this.handlerOf(handler.handle) !== handler)
      throw new Error(`the handler of ${handler.handle} is not registered`)
    this.demux.modify(handler.handle, types)
  }

  /** Does nothing where the handler is not registered. */
  removeHandler(handler: EventHandler): void {
    if (this.#forget(handler)) {
      this.demux.remove(handler.handle)
      handler.handleClose()
    }
  }

  closed(handle: number): void {
    const handler = this.#handlers[handle]
    if (handler === undefined || !this.#forget(handler)) return
    this.demux.closed(handle)
    handler.handleClose()
  }

  handlerOf(handle: number): EventHandler | undefined {
    return this.#handlers[handle]
  }

  /** Waits up to `timeout` ms, -1 for ever; returns how many handles were ready. */
  handleEvents(timeout = -1): number {
    const ready = this.demux.wait(timeout)
    this.#awake()
    for (let i = 0; i < ready; i++) {
      const handle = this.demux.fd(i)
      const handler = this.#handlers[handle]
      if (handler !== undefined) this.#dispatch(handler, this.demux.ready(i))
      else if (handle !== WOKEN) this.otherwise(handle)
    }
    return ready
  }

  /** Handles events until {@link end}; timers and promises of Node go on meanwhile. Then gives back what it holds. */
  async run(): Promise<void> {
    const ledger: Ledger = { appRan: false, pending: 0 }
    const libuv = new NestedLibuv(this.demux)
    const { otherwise } = this
    this.otherwise = (handle) => libuv.takes(handle) || otherwise(handle)
    Reactor.current = this
    try {
      while (!this.#ended) {
        const ready = this.handleEvents(libuv.timeout(ledger, -1))
        ledger.appRan = ready > 0
        await libuv.breathe(ledger, ready)
      }
    } finally {
      Reactor.current = undefined
      libuv.close()
      this.close()
    }
  }

  /** Ends {@link run} after this turn. */
  end(): void {
    this.#ended = true
  }

  /** Removes the handlers, whose handleClose is called, and gives back what the reactor holds. `run` does it by itself. */
  close(): void {
    for (const handler of this.#handlers) if (handler !== undefined) this.removeHandler(handler)
    this.demux.close()
  }

  #dispatch(handler: EventHandler, types: EventTypes): void {
    if (types & EventType.input) handler.handleInput()
    if (types & EventType.output && this.#handlers[handler.handle] === handler) handler.handleOutput()
  }

  #forget(handler: EventHandler): boolean {
    if (this.#handlers[handler.handle] !== handler) return false
    this.#handlers[handler.handle] = undefined
    this.#size--
    return true
  }
}
