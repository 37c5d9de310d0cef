import { type Incoming, LightHeaders, type RequestBodySource } from '../../../dist/http/index.js'

/** A body that arrives at once, or a turn later. */
export function arriving(text: string, late = false): RequestBodySource {
  const bytes = new TextEncoder().encode(text)
  return {
    buffered: () => (late ? new Promise((resolve) => setImmediate(resolve, bytes)) : bytes),
    stream: () => new Blob([bytes]).stream() as ReadableStream<Uint8Array>,
  }
}

/** What the machine would hand over for this request, with a count of the calls made to it. */
export function incoming(method: string, head: string, body: RequestBodySource | null = null) {
  const calls = { url: 0, headers: 0, onSignal: 0 }
  const source: Incoming = {
    method,
    body,
    url() {
      calls.url++
      return 'http://localhost/a?b=1'
    },
    headers() {
      calls.headers++
      return LightHeaders.fromHead(head, 0)
    },
    onSignal() {
      calls.onSignal++
    },
  }
  return { source, calls }
}
