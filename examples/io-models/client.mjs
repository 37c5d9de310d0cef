/**
 * The clients of the five examples, on a thread of their own: all connect, all are silent for a second, and then, the last
 * one first, each sends a line, reads its echo and leaves.
 */
import { workerData } from 'node:worker_threads'
import { close, connect, recv, send, socket } from '@cs/core/posix'
import { succeed } from './setting.mjs'

const SILENCE_MS = 1000

const line = new TextEncoder().encode('hello\n')
const buffer = new Uint8Array(line.length)
const connections = Array.from({ length: workerData.clients }, () => socket('ipv4'))
try {
  for (const fd of connections) succeed('connect', connect(fd, workerData.address))
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SILENCE_MS)
  while (connections.length > 0) converse(connections.pop())
} finally {
  for (const fd of connections) close(fd)
}

function converse(fd) {
  try {
    succeed('send', send(fd, line, 0, line.length))
    let received = 0
    for (let n = 1; n > 0 && received < line.length; received += n) {
      n = succeed('recv', recv(fd, buffer, received, line.length - received))
    }
    if (received < line.length || Buffer.compare(buffer, line) !== 0) throw new Error('the echo is not what was sent')
  } finally {
    close(fd)
  }
}
