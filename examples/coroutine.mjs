/**
 * Straight-line code on sockets that do not block: a coroutine yields where it would have to wait, and is resumed by readiness. Two
 * talk over a pair of sockets; both run on one thread. Run it with node examples/coroutine.mjs
 */
import { Scheduler, sleep } from '@cs/core/coroutine'
import { openDemultiplexer, READABLE } from '@cs/core/demux'
import { close, recv, send, socketpair } from '@cs/core/posix'

const demux = openDemultiplexer({ demultiplexer: 'epoll' })
const scheduler = new Scheduler()
const waiting = new Map() // who waits for which descriptor
const readable = (fd) => ({ suspend: (task) => waiting.set(fd, task), abandon: () => waiting.delete(fd) })

function* receive(fd) {
  const buffer = Buffer.alloc(64)
  for (;;) {
    const n = recv(fd, buffer, 0, buffer.length)
    if (n >= 0) return buffer.toString('latin1', 0, n)
    yield readable(fd) // it would block: others run until the demultiplexer tells of it
  }
}

function* talk(name, fd, word) {
  demux.add(fd, READABLE)
  if (word !== undefined) send(fd, Buffer.from(word), 0, word.length)
  for (let heard = yield* receive(fd); heard !== ''; heard = yield* receive(fd)) {
    console.log(`${name} hears ${heard}`)
    yield* sleep(1)
    if (heard.length < 5) send(fd, Buffer.from(`${heard}!`), 0, heard.length + 1)
    else break
  }
  close(fd)
}

const [one, other] = socketpair({ nonblocking: true })
scheduler.spawn(talk('Ann', one, undefined))
scheduler.spawn(talk('Bob', other, 'hi'))
for (; scheduler.size > 0; scheduler.run())
  for (let i = demux.wait(scheduler.timeout()); i-- > 0; ) waiting.get(demux.fd(i))?.resume()
