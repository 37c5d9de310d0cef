/** A server that echoes once, of asynchronous operations: each handler is told what has been done, and starts what comes next. */

import { connect } from 'node:net'
import { openProcessor } from '@cs/core/proactor'
import { Listener } from '@cs/core/socket'

const CLIENTS = 3
const processor = openProcessor()
const listener = Listener.open({ address: { family: 'ipv4', host: '127.0.0.1', port: 0 }, nonblocking: true })
const { hostname, port } = new URL(`http://${listener}`)
const done = { accepted: 0, received: 0, sent: 0 }

const handler = {
  accepted(fd) {
    if (fd < 0) return // an error, or it was cancelled
    done.accepted++
    processor.read(fd, handler)
  },
  received(fd, bytes, length) {
    if (length <= 0) return processor.close(fd) // the client has left
    done.received++
    processor.writeBytes(fd, bytes, length, handler)
  },
  sent(fd) {
    done.sent++
    processor.close(fd)
  },
}

processor.accept(listener.fd, handler)
for (let i = 0; i < CLIENTS; i++) connect(Number(port), hostname).write('hello')
while (done.sent < CLIENTS) {
  processor.wait(1) // the clients live in Node's loop, which gets its turn below
  processor.dispatch()
  await new Promise(setImmediate)
}
console.log(`proactor by ${processor.mechanism}`)
console.log(`${done.accepted} accepts, ${done.received} reads and ${done.sent} writes were completed`)
processor.free()
listener.close()
