/**
 * hybrid: two models in one server, each for what it is good at. Three combinations behind one interface:
 *
 *   reactor+thread-pool   reactor 1 … N: accept, watch ─▶ one queue ─▶ worker 1 … M: recv → app → send ─▶ re-arm at a reactor ↺
 *   processes+threads     process 1 … N, each: reactor: accept, watch ─▶ queue ─▶ worker 1 … M ↺
 *   epoll+coroutine       loop 1 … N, each: epoll_wait ─▶ accept, spawn; resume the coroutines whose connections are ready ↺
 *
 * Waits in:      epoll_wait(2) in reactors and loops, futex(2) in workers; the main thread of a process only supervises
 * Shares:        reactors and workers the queue, the epolls and the connection table, in each process its own. The outer ones have a
 *                listening socket each (SO_REUSEPORT): of those who watch one, whoever wakes first takes nearly all. On a path there
 *                can be but one
 * Crash:         a worker: the connection it served; a process: all its threads and connections; a loop: its connections.
 *                Each is started again, what was a thread of a process by that process
 * Choose it      reactor+thread-pool: handlers that block, and more connections than one thread can accept and watch.
 *                processes+threads: the same, and what one process loses or leaks must not be everything.
 *                epoll+coroutine: handlers that wait in many steps, on several processors.
 * Differs from   reactor with `workers`: it has one reactor. reactor with `loops` and `workers`: its loops read and write, and requests
 *                cross. process-pool1: a process serves many clients at once. coroutine: one thread.
 * See:           the worker MPM of Apache httpd; Welsh, "SEDA" (2001) §2; packages/core/src/host/nest.ts
 */

import { availableParallelism } from 'node:os'
import { choice, defineModel, integer, type Model, onProcess, type Parts } from '@cs/core'
import { type Loops, loopRole, openLoops, partsOfLoops } from './hybrid/coroutines.js'
import { closePool, openPool, type Pool, partsOfPool, poolRoles } from './hybrid/pool.js'

export interface HybridOptions {
  /** Which two. Default: 'reactor+thread-pool'. */
  readonly combination: Combination
  /** Reactors, processes or loops: the outer of the two. Default: one for each processor. */
  readonly outer: number
  /** Threads that run handlers, of the pool or of each process; coroutines need none. Default: one for each processor. */
  readonly threads: number
  /** Connections that may wait for a thread, of the pool or of each process; beyond it accepting waits. Default: 1024. */
  readonly waiting: number
}

export type Combination = 'reactor+thread-pool' | 'processes+threads' | 'epoll+coroutine'

/** The outer, and the threads, of each combination; processes have threads of their own. */
const REACTORS: Combination = 'reactor+thread-pool'
const PROCESSES: Combination = 'processes+threads'
const LOOPS: Combination = 'epoll+coroutine'

interface Shared extends Partial<Pool>, Partial<Loops> {}

export const hybrid: Model<HybridOptions> = defineModel<HybridOptions, Shared>(import.meta, {
  name: 'hybrid',
  family: 'patterns',
  summary: 'two models in one server: reactors and a pool, processes and threads, or loops and coroutines',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'all combinations wait in epoll(7), a call of Linux'),
  mechanism: ({ combination }) => combination,
  options: {
    combination: choice('which two models', { default: REACTORS, choices: [REACTORS, PROCESSES, LOOPS] }),
    outer: integer('reactors, processes or loops', { default: availableParallelism(), min: 1, max: 64 }),
    threads: integer('threads that run handlers, of the pool or of each process', {
      default: availableParallelism(),
      min: 1,
      max: 1024,
    }),
    waiting: integer('connections that may wait for a thread', { default: 1024, min: 1, max: 1 << 20 }),
  },
  shared: (options) => {
    if (options.combination === REACTORS) return openPool(options.outer, options, availableParallelism())
    return options.combination === LOOPS ? openLoops(options.outer) : {}
  },
  dispose: closePool,
  statistics: (shared, { combination, outer, threads }): Parts => {
    if (combination === REACTORS) return partsOfPool(shared as Pool)
    if (combination === LOOPS) return partsOfLoops(shared as Loops)
    return { processes: { count: outer }, threads: { count: outer * threads, ofEach: threads } }
  },
  roles: {
    ...poolRoles(
      ({ combination, outer }) => (combination === REACTORS ? outer : 0),
      ({ combination, threads }) => (combination === REACTORS ? threads : 0),
    ),

    loop: loopRole(({ combination, outer }) => (combination === LOOPS ? outer : 0)),

    process: onProcess(
      {
        count: ({ combination, outer }) => (combination === PROCESSES ? outer : 0),
        handles: false,
        nests: true,
        ownSocket: 'on ports',
      },
      async ({ options, threads }) => {
        const pool = openPool(1, options, Math.max(1, Math.floor(availableParallelism() / options.outer)))
        await threads({ shared: pool, counts: { reactor: 1, worker: options.threads } })
        closePool(pool)
      },
    ),
  },
})

export const serve: typeof hybrid.serve = hybrid.serve
