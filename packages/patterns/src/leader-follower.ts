/**
 * Leader and followers: threads take turns at waiting. The leader waits for events; when one comes it promotes a follower, which
 * waits on in its place, and processes the event itself. Nothing is handed from thread to thread, and there is no queue.
 *
 *   thread set: follower ─▶ leader ─▶ processing ─▶ follower ↺        join: futex · leader: epoll_wait · processing: recv → app → send
 *   handle set: armed ─ event ─▶ taken out by the leader ─ processed ─▶ armed ↺        (one epoll, EPOLLONESHOT)
 *
 *   events: 'hand-off'    leader: epoll_wait ─▶ event ─▶ a follower processes it; with none left the leader does, and is leader no more
 *
 * Waits in:      epoll_wait(2) in the leader, futex(2) in the followers, first come, first promoted
 * Shares:        the thread set, the handle set, the connection table
 * Crash:         one thread, the one connection it served; one that leads is succeeded by a follower
 * Choose it      for short handlers on a few cores, where a hand-over between threads would cost as much as the request; with fewer
 *                threads than handlers that block at once nobody is left to wait.
 * Differs from   thread-pool: no thread has the accepting and watching to itself, so a request is read and answered by the thread
 *                that its event woke. process-pool1: these wait in turn, not all at once.
 * See:           POSA2 §5 (Leader/Followers; bound and unbound handles, event hand-off); man 7 epoll (EPOLLONESHOT)
 */

import { availableParallelism } from 'node:os'
import {
  BlockingThread,
  choice,
  close,
  defineModel,
  integer,
  Lot,
  type Model,
  onThread,
  type TakeResult,
  Workload,
} from '@cs/core'
import { HandleSet, type Handles, openHandles } from './leader-follower/handle-set.js'
import { ThreadSet } from './leader-follower/thread-set.js'

export * from './leader-follower/thread-set.js'

export interface LeaderFollowerOptions {
  /** Threads in the set. Default: one for each processor, 2 at least. */
  readonly threads: number
  /** What a leader does with an event: processes it and promotes a follower, or hands it to one and leads on. Default: 'promote'. */
  readonly events: 'promote' | 'hand-off'
}

interface Shared {
  readonly threads: ThreadSet
  readonly handles: Handles
  /** What the threads do and how long events wait for them. */
  readonly workload: Workload
}

/** The most threads there may be; as many more may be leaving. */
const MOST = 1024

/** Bytes of a request that are gathered before it takes a thread: a slow client holds none. */
const GATHER_BYTES = 64 * 1024

export const leaderFollower: Model<LeaderFollowerOptions> = defineModel<LeaderFollowerOptions, Shared>(import.meta, {
  name: 'leader-follower',
  family: 'patterns',
  summary: 'threads take turns at waiting for events, and process what they waited for',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'the handle set is an epoll(7), which Linux has'),
  options: {
    threads: integer('threads in the set', { default: Math.max(2, availableParallelism()), min: 1, max: MOST }),
    events: choice('what a leader does with an event: promote a follower and process it, or hand it off', {
      default: 'promote',
      choices: ['promote', 'hand-off'],
    }),
  },
  shared: () => ({
    threads: ThreadSet.create(2 * MOST),
    handles: openHandles(),
    workload: Workload.create(2 * MOST),
  }),
  dispose: ({ handles }) => close(handles.epfd),
  statistics: ({ threads, workload }) => {
    const { waitingMs, threads: count, busy, occupancy } = workload.statistics()
    return { set: { ...threads.statistics() }, events: { waitingMs }, threads: { count, busy, occupancy } }
  },
  roles: {
    thread: onThread(
      {
        count: ({ threads }) => threads,
        gather: GATHER_BYTES,
        resizable: { min: 1, max: MOST },
        population: {
          dismiss: ({ threads }) => threads.dismiss(),
          forget: ({ threads }, index) => threads.forget(index),
        },
      },
      async ({ options, shared, service, index, ...context }) => {
        const follower = shared.threads.member(index)
        const handles = new HandleSet(shared.handles, { service, ...context })
        const workload = shared.workload.row(index, service.table)
        const lot = new Lot(shared.handles.epfd, service)
        const thread = new BlockingThread(service)
        const source = { take, tryTake }

        for await (const fd of thread.takenFrom(source, workload)) {
          const connection = lot.enter(fd)
          if (connection !== undefined) lot.leave(connection, await connection.exchange())
        }
        await thread.finish()
        workload.leave()

        /** Follows, leads, and comes back with an event when another leads: whatever of the app runs next, it holds up nobody. */
        function take(timeoutMs: number): TakeResult {
          const end = performance.now() + timeoutMs
          handles.heed()
          const leader = follower.join(timeoutMs)
          if (typeof leader !== 'object') return leader
          for (;;) {
            const event = handles.next(leader, Math.max(0, end - performance.now()))
            if (event === 'over') {
              shared.threads.close()
              return 'closed'
            }
            if (event !== undefined && options.events === 'hand-off' && leader.handOff(event)) continue
            leader.promote()
            return event ?? 'timed out'
          }
        }

        function tryTake(): Exclude<TakeResult, 'timed out'> | 'empty' {
          const event = handles.hasEvents ? take(0) : 'timed out'
          return event === 'timed out' ? 'empty' : event
        }
      },
    ),
  },
})

export const serve: typeof leaderFollower.serve = leaderFollower.serve
