/**
 * Asynchronous I/O: aio_read(3) starts a read and returns; both phases go on without the thread, which collects the result.
 *
 *   accept4 ─▶ aio_read, returns at once … aio_suspend until one is complete ─▶ aio_return: the bytes are there ─▶ aio_write ↺
 *
 * glibc does it with threads of its own: strace shows pread64, which a socket refuses with ESPIPE, and then read, on them.
 *
 *   node examples/io-models/asynchronous.mjs
 *   strace -f -e trace=pread64,read,pwrite64,write node examples/io-models/asynchronous.mjs
 */
import * as posix from '@cs/core/posix'
import { listenFor, stopwatch, succeed } from './setting.mjs'

const CLIENTS = 3
const buffer = new Uint8Array(1024)
const listener = listenFor(CLIENTS)
const accepted = Array.from({ length: CLIENTS }, () => succeed('accept4', posix.accept4(listener, false)))
const connections = new Map(accepted.map((fd) => [new posix.AioOperation(buffer.length), { fd, writes: false }]))

const stop = stopwatch()
for (const [operation, { fd }] of connections) read(operation, fd)
const underWay = [...connections.keys()].filter((operation) => posix.aio_error(operation) === -posix.EINPROGRESS)
console.log(`asynchronous: aio_read has returned, ${underWay.length} reads are under way, and the thread is free`)

for (let first = true; connections.size > 0; first = false) {
  posix.aio_suspend([...connections.keys()], -1) // has nothing else to do: sleeps until one is complete
  if (first) stop((ms) => `one was complete after ${ms} ms, its bytes copied already`)
  for (const [operation, connection] of connections) {
    if (posix.aio_error(operation) !== -posix.EINPROGRESS) next(operation, connection)
  }
}
posix.close(listener)

function next(operation, connection) {
  const n = succeed('aio_return', posix.aio_return(operation, connection.writes ? undefined : buffer))
  connection.writes = !connection.writes && n > 0
  if (connection.writes) succeed('aio_write', posix.aio_write(operation, connection.fd, buffer, 0, n))
  else if (n > 0) read(operation, connection.fd)
  else leave(operation, connection.fd)
}

function read(operation, fd) {
  succeed('aio_read', posix.aio_read(operation, fd, buffer.length))
}

function leave(operation, fd) {
  connections.delete(operation)
  operation.free()
  posix.close(fd)
}
