/**
 * Work stealing on its own: a tree of work, whose root is given to one of three threads. Each goes down what it has, newest
 * first, and whoever has nothing steals the oldest of another's, which is the largest. Run it with node examples/work-stealing.mjs
 */
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { dehydrate, hydrate, WorkStealingDeque } from '@cs/core/sync'

const LEAVES = 1024 // the node n has the children 2n and 2n + 1; from LEAVES on there are none

if (isMainThread) {
  const deques = [0, 1, 2].map(() => WorkStealingDeque.create(64))
  const runs = new Int32Array(new SharedArrayBuffer(4 * 2 * LEAVES)) // how often each node was run; at 0 the leaves
  deques[0].worker().push(1)
  const start = (me) => new Worker(new URL(import.meta.url), { workerData: dehydrate({ deques, runs, me }) })
  await Promise.all(deques.map((_, me) => new Promise((resolve) => start(me).on('exit', resolve))))
  const once = runs.subarray(1).every((times) => times === 1)
  console.log(`${runs[0]} leaves; each node was run ${once ? 'once' : 'too often, or never'}`)
} else {
  const { deques, runs, me } = hydrate(workerData)
  const own = deques[me].worker()
  const others = deques.filter((_, index) => index !== me).map((deque) => deque.stealer())
  let [leaves, stolen] = [0, 0]
  while (Atomics.load(runs, 0) < LEAVES) {
    let node = own.pop()
    if (node === 'empty') {
      node = others[Math.floor(Math.random() * others.length)].steal()
      if (typeof node === 'string') continue // 'empty', or 'retry': another thief was faster. A server would sleep by and by
      stolen++
    }
    Atomics.add(runs, node, 1)
    if (node < LEAVES) [2 * node, 2 * node + 1].map((child) => own.push(child))
    else {
      for (let end = performance.now() + 0.5; performance.now() < end; ); // the work
      Atomics.add(runs, 0, 1)
      leaves++
    }
  }
  console.log(`thread ${me}: ${leaves} leaves, ${stolen} times a thief`)
}
