/** An app that registers a handler of its own, for one end of a pair of sockets, with the reactor that serves it. */

import { close, recv, send, socketpair } from '@cs/core/posix'
import { EventHandler, EventType, Reactor } from '@cs/patterns/reactor'

const count = { input: 0, closed: 0 }
const byte = new Uint8Array(1)

class Counter extends EventHandler {
  constructor(handle) {
    super()
    this.handle = handle
  }
  /** @override */
  handleInput() {
    recv(this.handle, byte, 0, 1)
    if (++count.input === 3) Reactor.current.removeHandler(this)
  }
  /** @override */
  handleClose() {
    count.closed++
    close(this.handle)
  }
}

const routes = {
  '/start': () => {
    const [ours, theirs] = socketpair({ nonblocking: true })
    Reactor.current.registerHandler(new Counter(ours), EventType.input)
    for (let i = 0; i < 3; i++) send(theirs, byte, 0, 1)
    close(theirs)
    return 'registered'
  },
  '/count': () => `input ${count.input}, closed ${count.closed}`,
}

export default { fetch: (request) => new Response(routes[new URL(request.url).pathname]()) }
