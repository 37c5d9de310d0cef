/**
 * Blocking I/O: recv(2) returns when bytes have come and have been copied. The thread sleeps inside the call meanwhile.
 *
 *   accept4 ─▶ recv ··· asleep until bytes come, then copies them ─▶ send ─▶ recv again, until the client leaves
 *
 *   node examples/io-models/blocking.mjs
 *   strace -f -e trace=accept4,recvfrom,sendto node examples/io-models/blocking.mjs
 */
import { accept4, close, recv, send } from '@cs/core/posix'
import { listenFor, stopwatch, succeed } from './setting.mjs'

const buffer = new Uint8Array(1024)
const listener = listenFor(1)
const connection = succeed('accept4', accept4(listener, false))
const stop = stopwatch()
let n = receive() // sleeps here
stop((ms) => `blocking: one call of recv waited ${ms} ms and brought ${n} bytes`)
while (n > 0) {
  succeed('send', send(connection, buffer, 0, n)) // a blocking send takes all
  n = receive()
}
close(connection)
close(listener)

function receive() {
  return succeed('recv', recv(connection, buffer, 0, buffer.length))
}
