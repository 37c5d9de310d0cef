/** An app that spreads its work over the workers of work-stealing, and shows which thread did what. */

import { appendFileSync, existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import { join, spawn } from '@cs/patterns/work-stealing'

export async function fib(n) {
  if (n < 2) return { value: n, threads: [threadId] }
  if (n < 20) return { value: plain(n), threads: [threadId] }
  const half = spawn('fib', n - 1)
  const parts = [await fib(n - 2), await half]
  return {
    value: parts[0].value + parts[1].value,
    threads: [...new Set([...parts[0].threads, ...parts[1].threads, threadId])],
  }
}

function plain(n) {
  return n < 2 ? n : plain(n - 1) + plain(n - 2)
}

export const echo = (...values) => values
export const where = () => threadId
export function burn(ms) {
  for (const end = performance.now() + ms; performance.now() < end; );
  return threadId
}
export async function rest(ms) {
  await sleep(ms)
  return threadId
}
export function fail(message) {
  throw new RangeError(message)
}
export const exit = () => process.exit(7)
export const returnsFunction = () => () => 1
/** Leaves a line in a file: run twice, it leaves two. */
export const mark = (file, i) => appendFileSync(file, `${i}\n`)
/** Passes a token from task to task, on whatever threads: each waits for the next. */
export async function chain(n) {
  return n === 0 ? 0 : 1 + (await spawn('chain', n - 1))
}
export const notAFunction = 1

const cell = new Int32Array(new SharedArrayBuffer(4))

/** Holds the thread until a file is there. */
function block({ begun, gate }) {
  appendFileSync(begun, 'begun')
  while (!existsSync(gate)) Atomics.wait(cell, 0, 0, 5)
  return threadId
}

const paths = {
  '/hello': () => 'hello',
  '/where': () => threadId,
  '/fib': ({ n }) => fib(Number(n)),
  '/wide': async ({ n }) => {
    const tasks = Array.from({ length: Number(n) }, (_, i) => spawn('echo', i))
    const values = await Promise.all(tasks.map((task) => join(task)))
    return values.every(([value], i) => value === i)
  },
  '/large': async ({ bytes }) => {
    const [back] = await spawn('echo', new Uint8Array(Number(bytes)).fill(7))
    return back.length === Number(bytes) && back.every((byte) => byte === 7)
  },
  '/burns': async ({ n, ms }) =>
    Promise.all(Array.from({ length: Number(n) }, () => spawn('burn', Number(ms)))).then((all) => [...new Set(all)]),
  '/rests': async ({ n, ms }) =>
    Promise.all(Array.from({ length: Number(n) }, () => spawn('rest', Number(ms)))).then((all) => all.length),
  '/chain': ({ n }) => chain(Number(n)),
  '/failure': () => spawn('fail', 'no luck').then(null, ({ name, message }) => `${name}: ${message}`),
  '/unknown': () => spawn('nobody'),
  '/uncloneable': () => spawn('echo', () => 1),
  '/unreturnable': () => spawn('returnsFunction'),
  '/marks': async ({ file, n }) => {
    await Promise.all(Array.from({ length: Number(n) }, (_, i) => spawn('mark', file, i)))
    return true
  },
  /** Answers at once, and leaves a mark when a task has ended that nobody but what it left behind waits for. */
  '/behind': ({ file }) => {
    spawn('rest', 50).then((thread) => appendFileSync(file, `${thread}`))
    return true
  },
  '/block': block,
  '/block-and-exit': (query) => process.exit(block(query) && 3),
  /** Time for a thief to take it; else the thread that waits for it would run it, and end. */
  '/exit': () => {
    const task = spawn('exit')
    Atomics.wait(cell, 0, 0, 50)
    return join(task)
  },
}

export default {
  async fetch(request) {
    const url = new URL(request.url)
    try {
      return Response.json(await paths[url.pathname](Object.fromEntries(url.searchParams)))
    } catch ({ name, message }) {
      return Response.json(`${name}: ${message}`, { status: 500 })
    }
  },
}
