import { expect, test } from 'vitest'
import {
  after,
  Channel,
  type Fiber,
  Mutex,
  pause,
  run,
  type Steps,
  select,
  sleep,
  spawn,
} from '../../dist/fiber/index.js'

const SEED = Number(process.env.CS_SEED ?? (Math.random() * 2 ** 32) >>> 0)

/** Numbers from 0 to below `bound`, the same for the same seed (mulberry32). */
function randomFrom(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % bound
  }
}

test.each([0, 1, 5])(
  `what is sent is received once, whoever is cancelled (capacity %i, CS_SEED=${SEED})`,
  async (capacity) => {
    const random = randomFrom(SEED + capacity)
    const channels = Array.from({ length: 3 }, () => new Channel<number>(capacity))
    const any = (): Channel<number> => channels[random(3)]
    const sent: number[] = []
    const received: number[] = []
    let next = 0

    function* sends(): Steps<void> {
      for (;;) {
        const value = next++
        if (random(2) === 0) {
          yield* any().send(value)
          sent.push(value)
        } else {
          const { key } = yield* select({ a: channels[0].send(value), b: channels[1].send(value), late: after(0) })
          if (key !== 'late') sent.push(value)
        }
        if (random(3) === 0) yield* pause()
      }
    }

    function* receives(): Steps<void> {
      for (;;) {
        if (random(2) === 0) received.push((yield* any().receive())!)
        else {
          const chosen = yield* select({ a: channels[1].receive(), b: channels[2].receive(), late: after(0) })
          if (chosen.key !== 'late') received.push(chosen.value!)
        }
        if (random(3) === 0) yield* pause()
      }
    }

    await run(function* main() {
      const fibers: Fiber<void>[] = []
      for (let round = 0; round < 3000; round++) {
        if (fibers.length < 20 || random(2) === 0) fibers.push(yield* spawn(random(2) === 0 ? sends : receives))
        else fibers.splice(random(fibers.length), 1)[0].cancel()
        if (random(2) === 0) yield* pause()
        if (random(100) === 0) yield* sleep(1)
      }
      for (const fiber of fibers) fiber.cancel()
      for (let i = 0; i < 10; i++) yield* pause()
      for (const channel of channels) while (channel.size > 0) received.push((yield* channel.receive())!)
    })
    const inOrder = (a: number, b: number): number => a - b
    expect(received.length).toBeGreaterThan(100)
    expect(received.sort(inOrder)).toEqual(sent.sort(inOrder))
  },
)

test(`a mutex is held by one at a time, and free in the end, whoever is cancelled (CS_SEED=${SEED})`, async () => {
  const random = randomFrom(SEED)
  const mutex = new Mutex()
  let inside = 0
  let most = 0
  let entered = 0
  function* critical(): Steps<void> {
    most = Math.max(most, ++inside)
    entered++
    try {
      for (let i = random(4); i > 0; i--) yield* pause()
    } finally {
      inside--
    }
  }
  function* contends(): Steps<void> {
    for (;;) yield* mutex.locked(critical())
  }
  await run(function* main() {
    const fibers: Fiber<void>[] = []
    for (let round = 0; round < 3000; round++) {
      if (fibers.length < 10) fibers.push(yield* spawn(contends))
      if (random(3) === 0) fibers.splice(random(fibers.length), 1)[0].cancel()
      yield* pause()
    }
    for (const fiber of fibers) fiber.cancel()
    for (let i = 0; i < 20; i++) yield* pause()
  })
  expect(entered).toBeGreaterThan(100)
  expect([most, inside, mutex.isLocked]).toEqual([1, 0, false])
})
