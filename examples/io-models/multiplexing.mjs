/**
 * I/O multiplexing: the thread sleeps in one epoll_wait(2) for all descriptors, and calls recv(2) only where bytes are.
 *
 *   epoll_wait ··· asleep until any descriptor is ready ─┬─▶ the listener: accept4, watch the connection
 *            ▲                                           ├─▶ a connection: recv copies the bytes, send
 *            └───────────────────────────────────────────┘
 *
 *   node examples/io-models/multiplexing.mjs
 *   strace -f -e trace=epoll_wait,accept4,recvfrom node examples/io-models/multiplexing.mjs
 */
import { EpollDemultiplexer, READABLE } from '@cs/core/demux'
import { accept4, close, EAGAIN, recv, send } from '@cs/core/posix'
import { listenFor, stopwatch, succeed } from './setting.mjs'

const CLIENTS = 3
const buffer = new Uint8Array(1024)
const count = { waits: 0, reads: 0, vain: 0, accepted: 0, left: 0 }
let stop = stopwatch()
const listener = listenFor(CLIENTS, { nonblocking: true })
const demultiplexer = new EpollDemultiplexer()
demultiplexer.add(listener, READABLE)
while (count.left < CLIENTS) {
  const ready = demultiplexer.wait(-1) // sleeps here, for all of them
  count.waits++
  for (let i = 0; i < ready; i++) {
    if (demultiplexer.fd(i) === listener) accept()
    else echo(demultiplexer.fd(i))
  }
}
demultiplexer.close()
close(listener)
console.log(`epoll_wait was called ${count.waits} times, recv ${count.reads} times, ${count.vain} of them in vain`)

function accept() {
  demultiplexer.add(succeed('accept4', accept4(listener, true)), READABLE)
  if (++count.accepted === CLIENTS) stop = stopwatch()
}

function echo(fd) {
  if (count.reads++ === 0) stop((ms) => `multiplexing: one thread waited ${ms} ms for ${CLIENTS} clients`)
  const n = recv(fd, buffer, 0, buffer.length)
  if (n === -EAGAIN) count.vain++
  if (n > 0) return succeed('send', send(fd, buffer, 0, n)) // a line fits; a server keeps a rest and waits for WRITABLE
  if (n === -EAGAIN) return
  demultiplexer.remove(fd)
  close(fd)
  count.left++
}
