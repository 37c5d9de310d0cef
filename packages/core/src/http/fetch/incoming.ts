/** What the HTTP machine must offer for a LightRequest to be made of it. Nothing here is called before an app asks. */

import type { LightHeaders } from './headers.js'

/** The body of an incoming request. Either member is called at most once, and never both. */
export interface RequestBodySource {
  /**
   * Gives the whole body: the bytes if they have arrived, else a promise that rejects if the client leaves.
   * The view may point into a buffer that is used again: it is decoded or copied at once, or, when a promise gave it,
   * in the first reaction to that promise.
   */
  buffered(): Uint8Array | Promise<Uint8Array>
  /** Gives the body as a stream of chunks that are the reader's to keep. */
  stream(): ReadableStream<Uint8Array>
}

/** A parsed request of the HTTP machine. It must stay as it is for as long as the app holds the request. */
export interface Incoming {
  readonly method: string
  /** Null without a body. The body of a GET or HEAD is never asked for: the machine discards it. */
  readonly body: RequestBodySource | null
  /** Gives the absolute URL as `new URL(...).href` would print it; called at most once. */
  url(): string
  /** Gives the headers, which become the app's own; called at most once. */
  headers(): LightHeaders
  /** Tells that the app holds the signal: the machine should now notice a client that leaves. Called at most once. */
  onSignal?(): void
  /** Called once the client has gone, before the app's signal fires; set by whoever passes the request on. */
  readonly onAbort?: (() => void) | undefined
}
