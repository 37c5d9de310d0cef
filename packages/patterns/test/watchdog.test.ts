import { afterEach, describe, expect, it } from 'vitest'
import { Watchdog } from '../dist/event-loop/watchdog.js'

const cell = new Int32Array(new SharedArrayBuffer(4))
const request = new Request('http://test/path?query')
const dogs: Watchdog[] = []

afterEach(() => {
  for (const dog of dogs.splice(0)) dog.close()
})

/** A handler that does some work and answers. */
function after(work: () => void): () => Response {
  return () => {
    work()
    return new Response()
  }
}

function blocks(ms: number): void {
  Atomics.wait(cell, 0, 0, ms)
}

function computes(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

async function dogOf(bound: number): Promise<{ dog: Watchdog; told: string[] }> {
  const told: string[] = []
  const dog = await Watchdog.start(bound, (message) => told.push(message))
  dogs.push(dog)
  return { dog, told }
}

describe.each([
  ['blocks', blocks],
  ['computes', computes],
])('a handler that %s', (_, work) => {
  it('is told of with its method, URL, time and stack', async () => {
    const { dog, told } = await dogOf(20)
    const app = dog.around({ fetch: after(() => work(200)) })
    dog.wakes()
    app.fetch(request)
    dog.rests()
    expect(told).toHaveLength(1)
    const [head, ...stack] = told[0].split('\n')
    expect(head).toMatch(/^GET http:\/\/test\/path\?query blocked the loop for \d+ ms, most often here:$/)
    expect(stack.join('\n')).toMatch(/at \S+ \(.*\/watchdog\.test\S*:\d+:\d+\)/) // the compiler may have inlined the rest
  })
})

it('tells of a handler that throws', async () => {
  const { dog, told } = await dogOf(20)
  const app = dog.around({
    fetch: () => {
      blocks(50)
      throw new Error('thrown by the handler')
    },
  })
  dog.wakes()
  expect(() => app.fetch(request)).toThrow('thrown by the handler')
  expect(told[0]).toMatch(/^GET http:\/\/test\/path\?query blocked the loop for \d+ ms/)
})

it('tells where it was that something else than a handler blocked', async () => {
  const { dog, told } = await dogOf(20)
  dog.wakes()
  computes(200)
  dog.rests()
  expect(told).toHaveLength(1)
  expect(told[0]).toMatch(/^a callback blocked the loop for \d+ ms, most often here:\n[\s\S]*watchdog\.test/)
})

it('takes no waiting of Node’s own loop for work', async () => {
  const { dog, told } = await dogOf(20)
  dog.wakes()
  await new Promise((resolve) => setTimeout(resolve, 300))
  dog.rests()
  expect(told).toEqual([])
})

it('is silent where nothing is slow, however long the loop waits or many handlers run in a turn', async () => {
  const { dog, told } = await dogOf(1000)
  const app = dog.around({ fetch: after(() => blocks(30)) })
  dog.wakes()
  for (let i = 0; i < 40; i++) app.fetch(request)
  dog.rests()
  blocks(1100)
  dog.wakes()
  dog.rests()
  expect(told).toEqual([])
})

it('gives a stack once a second at most', async () => {
  const { dog, told } = await dogOf(20)
  const app = dog.around({ fetch: after(() => blocks(60)) })
  dog.wakes()
  for (let i = 0; i < 3; i++) app.fetch(request)
  expect(told).toHaveLength(3)
  expect(told.filter((each) => each.includes('\n'))).toHaveLength(1)
})
