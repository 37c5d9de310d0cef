/** The examples: each runs to its end, shows what it says, and makes the system calls that it names. */

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { within } from './support/deadline.js'
import { needsStrace } from './support/strace.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const POLLIN = 1
const CPU = /^CPU time used while waiting: \d+\.\d ms$/m

beforeEach((context) => {
  context.skip(process.platform !== 'linux', 'the examples of the I/O models need Linux')
})

test('blocking: one call brings the bytes', async () => {
  const output = await finish(process.execPath, [fileOf('blocking')])
  expect(output).toMatch(/^blocking: one call of recv waited \d+ ms and brought 6 bytes$/m)
  expect(output).toMatch(CPU)
})

test('non-blocking: thousands of calls are in vain before one brings the bytes', async () => {
  const output = await finish(process.execPath, [fileOf('non-blocking')])
  const [, vain] =
    /^non-blocking: recv returned EAGAIN (\d+) times in \d+ ms, then brought 6 bytes$/m.exec(output) ?? []
  expect(Number(vain)).toBeGreaterThan(1000)
  expect(output).toMatch(CPU)
})

test('multiplexing: one thread waits for three clients, and no call is in vain', async () => {
  const output = await finish(process.execPath, [fileOf('multiplexing')])
  expect(output).toMatch(/^multiplexing: one thread waited \d+ ms for 3 clients$/m)
  expect(output).toMatch(/^epoll_wait was called \d+ times, recv 6 times, 0 of them in vain$/m) // a line and its end, each
  expect(output).toMatch(CPU)
})

test('signal-driven: a real-time signal says which descriptor can be read', async () => {
  const output = await finish(process.execPath, [fileOf('signal-driven')])
  const told = /^signal-driven: after \d+ ms signal (\d+) told of descriptor (\d+), band (\d+)$/m.exec(output) ?? []
  const [signal, fd, band] = told.slice(1).map(Number)
  expect(signal).toBeGreaterThan(31)
  expect(fd).toBeGreaterThan(2)
  expect(band & POLLIN).toBe(POLLIN)
  expect(output).toMatch(/^3 lines echoed; SIGIO came in place of the signal 0 times$/m)
  expect(output).toMatch(CPU)
})

test('signal-driven: nothing is lost where the queue of signals is full', async (context) => {
  context.skip(spawnSync('prlimit', ['-V']).status !== 0, 'prlimit (util-linux) is not installed')
  const output = await finish('prlimit', ['--sigpending=0', process.execPath, fileOf('signal-driven')])
  expect(output).toMatch(/told of descriptor -1, band 0$/m)
  expect(output).toMatch(/^3 lines echoed; SIGIO came in place of the signal [1-9]\d* times$/m)
})

test('asynchronous: reads are under way while the thread is free, and the bytes are there when one is complete', async () => {
  const output = await finish(process.execPath, [fileOf('asynchronous')])
  expect(output).toMatch(/^asynchronous: aio_read has returned, 3 reads are under way, and the thread is free$/m)
  expect(output).toMatch(/^one was complete after \d+ ms, its bytes copied already$/m)
  expect(output).toMatch(CPU)
})

test('proactor: operations complete, by whatever this machine has', async () => {
  const output = await finish(process.execPath, [join(root, 'examples/proactor.mjs')])
  expect(output).toMatch(/^proactor by (?:io_uring|emulated)/)
  expect(output).toMatch(/^3 accepts, 3 reads and 3 writes were completed$/m)
})

test('blocking: the server sleeps in recvfrom, which never says EAGAIN', async (context) => {
  needsStrace(context)
  const calls = await straced('blocking', ['accept4', 'recvfrom'])
  const server = threadOf(calls, /accept4\(/)
  expect(calls.filter((call) => call.startsWith(`${server} `)).join('\n')).toMatch(/recvfrom.*"hello\\n"/)
  expect(calls.join('\n')).not.toContain('EAGAIN')
})

test('non-blocking: recvfrom says EAGAIN again and again', async (context) => {
  needsStrace(context)
  const calls = await straced('non-blocking', ['recvfrom'])
  expect(calls.filter((call) => /recvfrom.* = -1 EAGAIN/.test(call)).length).toBeGreaterThan(100)
})

test('multiplexing: epoll_wait announces each recvfrom', async (context) => {
  needsStrace(context)
  const calls = await straced('multiplexing', ['?epoll_wait', 'epoll_pwait', 'accept4', 'recvfrom'])
  const server = threadOf(calls, /accept4\(/)
  const ofServer = calls.filter((call) => call.startsWith(`${server} `)).join('\n')
  expect(ofServer).toMatch(/epoll_p?wait.*EPOLLIN/)
  expect(ofServer).toMatch(/recvfrom.*"hello\\n"/)
  expect(ofServer).not.toMatch(/recvfrom.*EAGAIN/)
})

test('signal-driven: the descriptors signal the thread that takes the signals in rt_sigtimedwait', async (context) => {
  needsStrace(context)
  const calls = await straced('signal-driven', ['fcntl', 'rt_sigtimedwait', 'accept4'])
  const server = threadOf(calls, /accept4\(/)
  const text = calls.join('\n')
  const owners = [...text.matchAll(/F_SETOWN_EX, \{type=F_OWNER_TID, pid=(\d+)\}/g)].map(([, tid]) => tid)
  expect(owners).toEqual(Array(4).fill(server)) // the listener's, and three connections'
  expect(text.match(/F_SETSIG, SIGRT/g)).toHaveLength(4)
  expect(text.match(/F_SETFL, .*(FASYNC|O_ASYNC)/g)).toHaveLength(4)
  expect(threadOf(calls, /rt_sigtimedwait\(/)).toBe(server)
})

test('asynchronous: threads of the C library read the sockets, not the one that asked', async (context) => {
  needsStrace(context)
  const calls = await straced('asynchronous', ['accept4', 'pread64', 'read', 'recvfrom'])
  const server = threadOf(calls, /accept4\(/)
  const readers = calls.filter((call) => /read.*"hello\\n", 1024\) += 6/.test(call)).map((call) => call.split(' ')[0])
  expect(readers).toHaveLength(3)
  expect(readers).not.toContain(server)
  expect(calls.filter((call) => /recvfrom/.test(call) && call.startsWith(`${server} `))).toEqual([])
})

test('reactor: an echo server of event handlers of its own', async () => {
  const output = await finish(process.execPath, ['examples/reactor.mjs'])
  expect(output).toBe('2 handlers, by poll: hello\n')
})

test('event-loop: a turn runs its phases in order, and timers as they are due', async () => {
  const output = await finish(process.execPath, ['examples/event-loop.mjs'])
  const turn = 'I/O, timer, signal, task, promise'
  expect(output).toBe(`${turn}, task of the next turn, sooner timer, later timer\n`)
})

test('half-sync-async: requests cross to another thread, and responses back', async () => {
  const output = await finish(process.execPath, ['examples/half-sync-async.mjs'])
  expect(output).toMatch(/^thread 0 heard: request 1 on thread ([1-9]\d*), request 2 on thread \1\n$/)
})

test('leader-follower: each event is taken by the thread that waited for it, and another waits for the next', async () => {
  const output = await finish(process.execPath, ['examples/leader-follower.mjs'])
  const lines = [...output.matchAll(/^thread ([0-2]) takes (.) and promotes another$/gm)]
  expect(lines.map(([, , event]) => event).sort()).toEqual([...'.abcdef'])
  expect(new Set(lines.map(([, thread]) => thread)).size).toBe(3)
})

test('producer-consumer: the producer waits while the buffer is full, the consumers while it is empty', async () => {
  const output = await finish(process.execPath, ['examples/producer-consumer.mjs'])
  expect(output.trim().split('\n')).toEqual([
    'full with 2: the producer waits',
    '8 produced',
    'empty: both consumers wait',
    '8 consumed: 1 2 3 4 5 6 7 8',
  ])
})

test('hybrid: one app on three combinations, each with the threads and processes of both its models', async () => {
  const output = await finish(process.execPath, ['examples/hybrid.mjs'])
  const lines = output.split('\n').filter((line) => line.includes('Hello, World!'))
  expect(lines.map((line) => line.replace('Hello, World! from ', ''))).toEqual([
    'reactor+thread-pool: (cs:reactor 1, cs:reactor 2, cs:worker 1, cs:worker 2)',
    'processes+threads: (cs:reactor, cs:worker 1, cs:worker 2) (cs:reactor, cs:worker 1, cs:worker 2)',
    'epoll+coroutine: (cs:loop 1, cs:loop 2)',
  ])
})

test('coroutine: two talk over sockets in straight-line code, on one thread', async () => {
  const output = await finish(process.execPath, ['examples/coroutine.mjs'])
  expect(output).toBe('Ann hears hi\nBob hears hi!\nAnn hears hi!!\nBob hears hi!!!\n')
})

test('fiber: channels, nested waits, a bound in time, a cancellation and a panic', async () => {
  const output = await finish(process.execPath, ['examples/fiber.mjs'])
  const lines = output.trimEnd().split('\n')
  const results = lines.slice(0, 4).map((line) => line.slice('a: '.length))
  expect(results.sort()).toEqual(['1! = 1', '2! = 2', '3! = 6', '4! = 24'])
  expect(lines.slice(4)).toEqual(['late', 'cancelled', "the fiber 'broken' panicked: out of order"])
})

test('pipeline: the stage whose queue fills is the bottleneck', async () => {
  const output = await finish(process.execPath, ['examples/pipeline.mjs'])
  expect(output).toBe('most waits in front of handle\n')
})

function fileOf(name: string): string {
  return `examples/io-models/${name}.mjs`
}

/** Runs a program in the root to its end, and gives what it printed; fails unless it exits with 0 and complains of nothing. */
async function finish(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const told = { out: '', error: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (told.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (told.error += text))
  const end = new Promise((resolve, reject) => child.on('error', reject).on('close', (code, by) => resolve(code ?? by)))
  expect(await within(`${[command, ...args].join(' ')} ends`, end, 45_000), told.error).toBe(0)
  expect(told.error).toBe('')
  return told.out
}

/** The calls that an example makes, as lines of strace: the thread, a blank, the call. */
async function straced(name: string, calls: readonly string[]): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cs-example-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'calls')
  await finish('strace', ['-f', '-qq', '-e', `trace=${calls.join(',')}`, '-o', file, process.execPath, fileOf(name)])
  return readFileSync(file, 'utf8').split('\n')
}

function threadOf(calls: readonly string[], pattern: RegExp): string {
  return calls.find((call) => pattern.test(call))?.split(' ')[0] ?? `no call like ${pattern}`
}
