/**
 * Fibers: a bounded channel between a producer and consumers, waits at the bottom of nested calls, a bound in time, a fiber that
 * panics and one that is cancelled. All on one thread. Run it with node examples/fiber.mjs
 */
import { after, Channel, call, run, select, sleep, spawn } from '@cs/modern/fiber'

function* produce(jobs) {
  for (let job = 1; job <= 4; job++) yield* jobs.send(job) // waits while the channel is full
  jobs.close()
}

function* factorial(n) {
  if (n > 1) return n * (yield* call(factorial(n - 1))) // a frame on the fiber's own stack
  yield* sleep(1) // others run meanwhile
  return 1
}

function* consume(name, jobs) {
  let job
  while ((job = yield* jobs.receive()) !== undefined) console.log(`${name}: ${job}! = ${yield* call(factorial(job))}`)
}

function* careless() {
  try {
    yield* sleep(1000)
  } finally {
    console.log('cancelled')
  }
}

function* broken() {
  yield* sleep(1)
  throw new Error('out of order')
}

await run(function* main() {
  const jobs = new Channel(1)
  yield* spawn(careless) // is cancelled when main ends
  const fibers = [yield* spawn(produce(jobs)), yield* spawn(consume('a', jobs)), yield* spawn(consume('b', jobs))]
  for (const fiber of fibers) yield* fiber.join()
  const { key } = yield* select({ job: new Channel().receive(), late: after(5) })
  console.log(key)
  yield* (yield* spawn(broken)).join()
}).catch((panic) => console.log(panic.message))
