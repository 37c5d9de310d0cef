import { Worker } from 'node:worker_threads'
import { expect, it, onTestFinished } from 'vitest'
import { Binding } from '../../dist/host/index.js'
import { appOf, isAlive, MODELS, program, until } from './processes.js'

const ENTERED = 0
const LEAVE = 1
const LEFT = 2

/** A thread that enters a binding, and leaves it when told. */
function thread(binding: Binding): Int32Array {
  const steps = new Int32Array(new SharedArrayBuffer(12))
  const main = new URL('./fixtures/binding-thread.mjs', import.meta.url)
  const worker = new Worker(main, { workerData: { buffer: binding.buffer, steps: steps.buffer } })
  onTestFinished(async () => {
    release(steps)
    await worker.terminate()
  })
  return steps
}

function release(steps: Int32Array): void {
  Atomics.store(steps, LEAVE, 1)
  Atomics.notify(steps, LEAVE)
}

it('is not forestalled while a thread is in it, and is when the thread has left', async () => {
  const binding = new Binding()
  const steps = thread(binding)
  await until(() => Atomics.load(steps, ENTERED) !== 0)
  expect([Atomics.load(steps, ENTERED), binding.forestall()]).toEqual([1, false])
  release(steps)
  binding.outlast() // blocks this thread until the other has left
  expect([Atomics.load(steps, LEFT), binding.forestall()]).toEqual([1, true])
})

it('keeps out a thread that comes once it is forestalled', async () => {
  const binding = new Binding()
  expect(binding.forestall()).toBe(true)
  const steps = thread(binding)
  await until(() => Atomics.load(steps, ENTERED) !== 0)
  expect(Atomics.load(steps, ENTERED)).toBe(2)
})

it.each([40, 80, 120, 160, 200])('lets the process exit %d ms after its threads began to start', async (ms) => {
  const { ended, line } = program(`
    const { serve } = await import('${MODELS['thread-pool']}')
    console.log(process.pid)
    serve({ app: '${appOf('app')}', threads: 8 }).catch(() => {})
    setTimeout(() => process.exit(5), ${ms})`)
  const pid = (await line()) as number
  expect(await ended).toMatchObject({ code: 5, errors: '' })
  await until(() => !isAlive(pid))
})
