import type { Coroutine } from './coroutine.js'
import { DeadlockError, named } from './errors.js'
import type { Scheduler } from './scheduler.js'

/** Turns between two looks at Node's own loop: a fraction of a millisecond where few are ready. */
const TURNS = 256

/** The longest time that Node's timers know, in ms. */
const LONGEST = 2 ** 31 - 1

/** How many of those who block each other an error names. */
const NAMED = 10

/**
 * Runs the coroutines of a scheduler on the loop that Node gave the thread, until one of them ends; gives back what it returns. A
 * server, which waits in a demultiplexer, calls `run` and `timeout` itself.
 * @throws what it throws; DeadlockError where all that are alive wait, and neither a timer nor a promise could resume any
 */
export async function drive<T>(scheduler: Scheduler, main: Coroutine<T>): Promise<T> {
  const result = main.result()
  result.catch(() => {}) // it is awaited at the end
  for (;;) {
    for (let turn = 0; turn < TURNS && scheduler.run() > 0; turn++);
    if (main.state === 'done') return result
    if (scheduler.timeout() < 0 && scheduler.ledger.pending === 0) throw deadlock(scheduler)
    await readiness(scheduler)
  }
}

/** Gives Node's loop a turn, or as many as it takes until a coroutine is ready or a timer is due. */
function readiness(scheduler: Scheduler): Promise<void> {
  return new Promise((resolve) => {
    const due = scheduler.timeout()
    if (due === 0) return void setImmediate(resolve)
    const timer = due < 0 ? undefined : setTimeout(wake, Math.min(Math.ceil(due), LONGEST))
    scheduler.onReady = wake

    function wake(): void {
      clearTimeout(timer)
      scheduler.onReady = undefined
      resolve()
    }
  })
}

function deadlock(scheduler: Scheduler): DeadlockError {
  const all = [...scheduler]
  const first = all.slice(0, NAMED).map(({ name, waitsFor }) => `${named('coroutine', name)} waits ${waitsFor}`)
  const rest = all.length > NAMED ? `, and ${all.length - NAMED} more` : ''
  return new DeadlockError(`all ${all.length} wait for one another: ${first.join('; ')}${rest}`)
}
