/**
 * Event handlers of one's own: an echo server on a reactor. The acceptor registers a handler for each client, which removes
 * itself when the client has left. Any descriptor may have a handler. Run it with node examples/reactor.mjs
 */
import { connect } from 'node:net'
import { accept4, close, recv, send } from '@cs/core/posix'
import { Listener } from '@cs/core/socket'
import { EventHandler, EventType, Reactor } from '@cs/patterns/reactor'

class Acceptor extends EventHandler {
  handle = listener.fd
  /** @override */ handleInput() {
    reactor.registerHandler(new Echo(accept4(this.handle, true)), EventType.input)
  }
}
class Echo extends EventHandler {
  constructor(fd) {
    super()
    this.handle = fd
  }
  /** @override */ handleInput() {
    const n = recv(this.handle, buffer, 0, buffer.length)
    if (n > 0)
      send(this.handle, buffer, 0, n) // a line fits; a server keeps a rest and waits for EventType.output
    else reactor.removeHandler(this) // calls handleClose
  }
  /** @override */ handleClose() {
    close(this.handle)
    reactor.end()
  }
}
const buffer = new Uint8Array(1024)
const listener = Listener.open({ address: { family: 'ipv4', host: '127.0.0.1', port: 0 }, nonblocking: true })
const reactor = new Reactor({ demultiplexer: 'poll' })
reactor.registerHandler(new Acceptor(), EventType.input)
const client = connect(Number(`${listener}`.split(':')[1]), '127.0.0.1', () => client.write('hello'))
client.on('data', (echo) =>
  client.end(() => console.log(`${reactor.size} handlers, by ${reactor.demux.name}: ${echo}`)),
)
await reactor.run().finally(() => listener.close())
