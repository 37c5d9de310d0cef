/**
 * Signal-driven I/O: the kernel sends a signal when bytes have come; siginfo says on which descriptor; recv(2) copies.
 *
 *   fcntl F_SETOWN_EX, F_SETSIG, O_ASYNC ─▶ rt_sigtimedwait ··· asleep until a signal comes ─▶ recv until EAGAIN, send ↺
 *
 *   node examples/io-models/signal-driven.mjs
 *   strace -f -e trace=fcntl,rt_sigtimedwait,recvfrom node examples/io-models/signal-driven.mjs
 */
import { constants } from 'node:os'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import * as posix from '@cs/core/posix'
import { listenFor, stopwatch } from './setting.mjs'

const CLIENTS = 3
const [signal, full] = [posix.sigrtmin(), constants.signals.SIGIO]
const [info, buffer, open] = [new posix.SignalInfo(), new Uint8Array(1024), new Map()]
const count = { accepted: 0, echoed: 0, left: 0, full: 0 }
let stop = stopwatch()
if (isMainThread) new Worker(new URL(import.meta.url), { workerData: listenFor(CLIENTS, { nonblocking: true }) })
else serve(workerData)

function serve(listener) {
  posix.sigprocmask(posix.SIG_BLOCK, [signal, full]) // before the first can come: it would end the process
  watch(listener, accept)
  while (count.left < CLIENTS) {
    const taken = posix.sigtimedwait([signal, full], -1, info) // sleeps here
    if (taken === full) count.full++ // SIGIO: the queue of signals is full, so it may be any descriptor
    for (const [fd, attend] of open) if (taken === full || info.fd === fd) attend(fd)
  }
  posix.close(listener)
  console.log(`${count.echoed} lines echoed; SIGIO came in place of the signal ${count.full} times`)
}

function watch(fd, attend) {
  posix.setOwnerThread(fd, posix.gettid()) // this thread alone, since no other blocks the signal
  posix.setIoSignal(fd, signal) // a real-time one: queued, and with siginfo
  posix.setAsync(fd, true)
  open.set(fd, attend)
  attend(fd) // what came before is not told
}

/** Until EAGAIN, as `echo` does: a signal tells a change, not a state. */
function accept(listener) {
  for (let fd = posix.accept4(listener, true); fd >= 0; fd = posix.accept4(listener, true)) {
    if (++count.accepted === CLIENTS) stop = stopwatch()
    watch(fd, echo)
  }
}

function echo(fd) {
  const n = posix.recv(fd, buffer, 0, buffer.length)
  if (n === -posix.EAGAIN) return
  if (n > 0 && count.echoed++ === 0)
    stop((ms) => `signal-driven: after ${ms} ms signal ${info.signal} told of descriptor ${info.fd}, band ${info.band}`)
  if (n > 0 && posix.send(fd, buffer, 0, n) === n) return echo(fd)
  count.left++
  open.delete(fd)
  posix.close(fd)
}
