/**
 * Producer and consumer: a buffer with room for two between a thread that produces and two that consume. Each side waits for the
 * other on a futex, and nothing is dropped. Run it with node examples/producer-consumer.mjs
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { BoundedQueue } from '@cs/core'
import { dehydrate, hydrate } from '@cs/core/sync'

function start(role, buffer) {
  const worker = new Worker(new URL(import.meta.url), { workerData: dehydrate({ role, buffer }) })
  return new Promise((resolve) => worker.on('message', resolve))
}

const roles = {
  producer(buffer) {
    for (let item = 1; item <= 8; item++) buffer.put(item)
    return buffer.statistics().put
  },
  consumer: (buffer) => [...buffer], // until it is closed and empty
}

async function main() {
  const buffer = BoundedQueue.create(2)
  const produced = start('producer', buffer)
  while (buffer.waitingPutters === 0) await new Promise(setImmediate)
  console.log(`full with ${buffer.size}: the producer waits`)
  const consumed = [start('consumer', buffer), start('consumer', buffer)]
  console.log(`${await produced} produced`)
  while (buffer.waitingTakers < 2) await new Promise(setImmediate)
  console.log('empty: both consumers wait')
  buffer.close()
  const items = (await Promise.all(consumed)).flat()
  console.log(`${items.length} consumed: ${items.sort().join(' ')}`)
}
if (isMainThread) await main()
else {
  const { role, buffer } = hydrate(workerData)
  parentPort?.postMessage(roles[role](buffer))
}
