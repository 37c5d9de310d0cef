/**
 * Non-blocking I/O, polled: recv(2) returns EAGAIN where no bytes have come, so the thread asks again, and again.
 *
 *   accept4 ─▶ recv EAGAIN, recv EAGAIN, recv EAGAIN … recv copies the bytes ─▶ send ─▶ recv EAGAIN …
 *
 *   node examples/io-models/non-blocking.mjs
 *   strace -f -c -e trace=recvfrom node examples/io-models/non-blocking.mjs
 */
import { accept4, close, EAGAIN, recv, send } from '@cs/core/posix'
import { listenFor, stopwatch, succeed } from './setting.mjs'

const buffer = new Uint8Array(1024)
let vain = 0
const listener = listenFor(1)
const connection = succeed('accept4', accept4(listener, true)) // the connection alone does not block
const stop = stopwatch()
let n = receive() // spins here
stop((ms) => `non-blocking: recv returned EAGAIN ${vain} times in ${ms} ms, then brought ${n} bytes`)
while (n > 0) {
  for (let sent = 0; sent < n; ) sent += insist('send', () => send(connection, buffer, sent, n - sent))
  n = receive()
}
close(connection)
close(listener)

function receive() {
  return insist('recv', () => recv(connection, buffer, 0, buffer.length))
}

/** Repeats a call for as long as it would block. */
function insist(name, call) {
  for (;;) {
    const result = call()
    if (result !== -EAGAIN) return succeed(name, result)
    vain++
  }
}
