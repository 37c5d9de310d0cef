/**
 * Leader and followers on one pipe. The leader waits until there is a byte, takes it, promotes a follower, and only then takes its
 * time over the byte: another waits meanwhile. Run it with node examples/leader-follower.mjs
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { EpollDemultiplexer, READABLE } from '@cs/core'
import { pipe2, read, write } from '@cs/core/posix'
import { dehydrate, hydrate } from '@cs/core/sync'
import { ThreadSet } from '@cs/patterns/leader-follower'

async function main() {
  const threads = ThreadSet.create(3)
  const [out, into] = pipe2()
  const demux = new EpollDemultiplexer()
  demux.add(out, READABLE)
  const all = [0, 1, 2].map((index) => {
    const shared = dehydrate({ threads, index, out, epfd: demux.epfd })
    return new Worker(new URL(import.meta.url), { workerData: shared }).on('message', (line) => console.log(line))
  })
  for (const [i, event] of [...'abcdef'].entries()) {
    while (threads.statistics().followers < 2) await new Promise(setImmediate) // one leads, two follow
    write(into, Buffer.from(event), 0, 1)
    while (threads.statistics().promotions === i || threads.statistics().leader < 0) await new Promise(setImmediate)
  }
  threads.close()
  write(into, Buffer.from('.'), 0, 1) // wakes the one that leads
  await Promise.all(all.map((worker) => new Promise((resolve) => worker.on('exit', resolve))))
}

function thread({ threads, index, out, epfd }, demux = new EpollDemultiplexer({ epfd }), byte = Buffer.alloc(1)) {
  for (let leader, follower = threads.member(index); typeof (leader = follower.join()) === 'object'; ) {
    leader.wait(demux, -1)
    read(out, byte, 0, 1)
    parentPort?.postMessage(`thread ${index} takes ${byte} and promotes another`)
    leader.promote()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20) // processes it
  }
}
if (isMainThread) await main()
else thread(hydrate(workerData))
