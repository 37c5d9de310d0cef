/** An app most of whose handlers are generators: each runs as a part of the fiber, or the coroutine, that serves its connection. */

import { appendFileSync } from 'node:fs'
import { Channel, call, current, settled, sleep, spawn } from '@cs/modern/fiber'

function* nested(depth, ms) {
  if (depth > 0) return 1 + (yield* call(nested(depth - 1, ms)))
  yield* sleep(ms)
  return 0
}

function* squares(numbers, results) {
  let number
  while ((number = yield* numbers.receive()) !== undefined) yield* results.send(number * number)
  results.close()
}

const routes = {
  '/hello': () => new Response('Hello, World!'),

  /** Counts of the scheduler that runs it. */
  *'/statistics'() {
    const self = yield* current()
    return Response.json(self.host.statistics())
  },

  /** Sleeps at the bottom of so many calls. */
  *'/nested'(_request, { searchParams }) {
    return new Response(String(yield* call(nested(Number(searchParams.get('depth')), 5))))
  },

  /** Sleeps, in one frame. */
  *'/sleep'(_request, { searchParams }) {
    yield* sleep(Number(searchParams.get('ms')))
    return new Response('slept')
  },

  /** Works together with a fiber of its own. */
  *'/squares'() {
    const numbers = new Channel()
    const results = new Channel(2)
    const worker = yield* spawn(squares(numbers, results), 'squares')
    const feeder = yield* spawn(function* feed() {
      for (let i = 1; i <= 10; i++) yield* numbers.send(i)
      numbers.close()
    })
    let sum = 0
    let result
    while ((result = yield* results.receive()) !== undefined) sum += result
    yield* worker.join()
    yield* feeder.join()
    return new Response(String(sum))
  },

  *'/echo'(request) {
    return new Response(yield* settled(request.text()))
  },

  *'/throw'() {
    yield* sleep(1)
    throw new Error('thrown by the handler')
  },

  /** Leaves a fiber behind that panics. */
  *'/panic'() {
    yield* spawn(function* careless() {
      yield* sleep(1)
      throw new Error('thrown by a fiber')
    })
    return new Response('spawned')
  },

  /** Waits for ever; notes in the file that it has begun, and when it is cleaned up. */
  *'/guarded'(_request, { searchParams }) {
    const file = searchParams.get('file')
    appendFileSync(file, 'begun')
    try {
      for (;;) yield* sleep(60_000)
    } finally {
      yield* sleep(5)
      appendFileSync(file, ' cleaned up')
    }
  },
}

export default {
  fetch(request) {
    const url = new URL(request.url)
    return routes[url.pathname](request, url)
  },
}
