/**
 * pipeline: a request goes through four stages, read, parse, handle and write, each with threads of its own and a bounded queue.
 *
 *   read ── bytes ─▶ parse ── request ─▶ handle ── response ─▶ parse ── bytes ─▶ write
 *   epoll_wait, recv    futex, nothing else   futex                              send; epoll_wait for clients that read slowly
 *
 * Waits in:      epoll_wait(2) in `read`, futex(2) in `parse` and `handle`, either in `write`
 * Shares:        the queue in front of each thread, the queue of requests, a line of cells for each connection
 * Crash:         a thread of `handle`: the requests that it had, whose connections are closed; the host starts another
 * Choose it      to see where the time of a server goes: the stage whose queue fills is the one to enlarge. Where requests cost
 *                little, the way from thread to thread costs more than they do.
 * Differs from   half-sync-async: its asynchronous thread is cut in three. No stage waits for another but for room in its queue,
 *                so a full one holds up all before it, back to the sockets of the clients.
 * See:           POSA1 ch. 2 (Pipes and Filters); Welsh, Culler and Brewer, SEDA (2001)
 */

import { availableParallelism } from 'node:os'
import {
  Answerer,
  BlockingThread,
  Door,
  defineModel,
  EpollDemultiplexer,
  integer,
  type Model,
  OptionError,
  onThread,
  READABLE,
} from '@cs/core'
import { Parser } from './pipeline/parser.js'
import { Reader } from './pipeline/reader.js'
import { Scaler } from './pipeline/scaler.js'
import {
  createShared,
  disposeShared,
  isAtWork,
  leave,
  PARSERS,
  type PipelineShared,
  READERS,
  reportOf,
} from './pipeline/shared.js'
import { Writer } from './pipeline/writer.js'

export interface PipelineOptions {
  /** Threads that accept and read. Default: 1. */
  readonly read: number
  /** Threads that have the connections and parse. Default: 1. */
  readonly parse: number
  /** Threads that run handlers. Default: two for each processor. */
  readonly handle: number
  /** Threads that write. Default: 1. */
  readonly write: number
  /** Threads to which `handle` grows while requests wait for it, and from which it shrinks again; 0: none are added. Default: 0. */
  readonly most: number
  /** Requests that may wait for `handle`; beyond it `parse` takes nothing more in. Default: 1024. */
  readonly waiting: number
  /** Bytes that may wait in front of each thread of `parse` and `write`; beyond it the stage before waits. Default: 1048576. */
  readonly laneBytes: number
}

/** The most threads of a stage. */
const MOST = 64

/** Bytes of a request that are gathered before it goes on: most go whole. */
const GATHER_BYTES = 64 * 1024

/** Records that a thread takes before it looks at anything else, and calls others. */
const BURST = 64

function stage(description: string, fallback: number): ReturnType<typeof integer> {
  return integer(description, { default: fallback, min: 1, max: MOST })
}

export const pipeline: Model<PipelineOptions> = defineModel<PipelineOptions, PipelineShared>(import.meta, {
  name: 'pipeline',
  family: 'patterns',
  summary: 'four stages, read, parse, handle and write, each with its own threads and queue',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'its stages wait in epoll(7), a call of Linux'),
  options: {
    read: stage('threads that accept and read', 1),
    parse: stage('threads that have the connections and parse', 1),
    handle: stage('threads that run handlers', Math.min(2 * availableParallelism(), MOST)),
    write: stage('threads that write', 1),
    most: integer('threads to which `handle` grows while requests wait; 0: none are added', { default: 0, max: MOST }),
    waiting: integer('requests that may wait for `handle`', { default: 1024, min: 1, max: 1 << 20 }),
    laneBytes: integer('bytes that may wait in front of each thread of `parse` and `write`', {
      default: 1 << 20,
      min: 1 << 18,
      max: 1 << 28,
    }),
  },
  shared: (options) => {
    const { handle, most } = options
    if (most !== 0 && most < handle)
      throw new OptionError(`pipeline: \`most\` must be 0 or at least ${handle}, as \`handle\` is`)
    return createShared(options, availableParallelism())
  },
  dispose: disposeShared,
  statistics: reportOf,
  roles: {
    read: onThread(
      { count: ({ read }) => read, numbered: true, handles: false },
      ({ listener, shared, service, stop, owned, index, acceptedLast }) => {
        const demux = owned(new EpollDemultiplexer())
        const { bell, wakeup } = shared.read[index]
        const load = shared.workloads.read.row(index, service.table)
        const reader = new Reader(shared, index, service, demux, load)
        const door = new Door(listener, demux, service, (fd) => reader.enter(fd))

        demux.add(stop.fd, READABLE)
        demux.add(wakeup!.fd, READABLE)
        while ((door.isOpen || reader.size > 0) && !stop.forced) {
          load.ends()
          bell.lieDown()
          reader.resume()
          const ready = demux.wait(door.timeout(-1))
          bell.rise()
          service.tick()
          for (let i = 0; i < ready; i++) {
            shared.readable[index] = ready - i
            const fd = demux.fd(i)
            if (fd === stop.fd) drain()
            else if (fd === wakeup!.fd) wakeup!.drain()
            else door.takes(fd) || reader.ready(fd)
          }
          shared.readable[index] = 0
          reader.passOn()
        }
        demux.close()

        function drain(): void {
          demux.remove(stop.fd)
          door.shut()
          acceptedLast()
          leave(shared, READERS) // what it accepted is in the lanes by now
        }
      },
    ),

    parse: onThread(
      {
        count: ({ parse }) => parse,
        numbered: true,
        handles: false,
        accepts: false,
        readsAhead: true,
        gather: GATHER_BYTES,
      },
      async ({ options, shared, service, stop, index, more }) => {
        const load = shared.workloads.parse.row(index, service.table)
        const parser = new Parser(shared, index, service, load)
        const scaler = new Scaler(shared, options.handle, index === 0 ? options.most : 0, more)
        const { connections } = parser
        const bell = shared.crossing.callerBell(index)

        const isNeeded = (): boolean => connections.size > 0 || isAtWork(shared, READERS)

        while (!stop.forced && (isNeeded() || !parser.isIdle)) {
          let any = false
          for (let taken = 0; taken < BURST && parser.takes(); taken++) any = true
          await parser.passOn()
          if (!any) {
            load.ends()
            if (parser.liesDown() && isNeeded()) bell.sleep(soonest(connections.timeout, scaler.timeout))
            bell.rise()
            service.tick()
          }
          scaler.look(service.time)
          if (stop.requested) connections.drain()
          connections.sweep()
        }
        connections.closeAll()
        await parser.passOn()
        leave(shared, PARSERS)
        if (!isAtWork(shared, PARSERS)) shared.crossing.close()
      },
    ),

    handle: onThread(
      {
        count: ({ handle }) => handle,
        accepts: false,
        resizable: ({ handle, most }) => ({ min: 1, max: Math.max(handle, most) }),
        population: {
          dismiss: ({ crossing }) => crossing.dismiss(),
          forget: ({ crossing }, index) => crossing.forget(index),
        },
      },
      async ({ shared: { crossing, workloads }, service, stop, index }) => {
        const load = workloads.handle.row(index, service.table)
        const answerer = new Answerer(crossing, index, service, load)
        const thread = new BlockingThread(service)
        while (!stop.forced) {
          if (answerer.takes()) {
            if (thread.isLate) await thread.breathe()
            else if (answerer.pending > 0) await answerer.settle()
          } else if (answerer.isDone) break
          else if (answerer.pending > 0) await answerer.sleepInLoop()
          else if (!answerer.sleep(thread.patience)) await thread.breathe()
        }
        answerer.close()
        await thread.finish()
        load.leave()
      },
    ),

    write: onThread(
      { count: ({ write }) => write, numbered: true, handles: false, accepts: false },
      ({ shared, service, stop, owned, index }) => {
        const demux = owned(new EpollDemultiplexer())
        const lane = shared.write[index]
        const { bell, wakeup } = lane
        const load = shared.workloads.write.row(index, service.table)
        const writer = new Writer(shared, index, service, demux, load)

        demux.add(wakeup!.fd, READABLE)
        while (!stop.forced && (writer.size > 0 || isAtWork(shared, PARSERS) || !lane.isEmpty)) {
          let isEmpty = false
          for (let taken = 0; !isEmpty && taken < BURST; taken++) isEmpty = !writer.takes()
          if (isEmpty) load.ends()
          if (isEmpty) bell.lieDown(writer.size > 0) // in the demultiplexer while clients are to take something
          if (writer.size > 0) watch(isEmpty && lane.isEmpty ? writer.timeout : 0)
          else if (isEmpty && lane.isEmpty && isAtWork(shared, PARSERS)) bell.sleep(Number.POSITIVE_INFINITY)
          bell.rise()
          service.tick()
          writer.sweep()
        }
        demux.close()

        function watch(timeout: number): void {
          const ready = demux.wait(timeout)
          for (let i = 0; i < ready; i++) {
            const fd = demux.fd(i)
            if (fd === wakeup!.fd) wakeup!.drain()
            else writer.ready(fd)
          }
        }
      },
    ),
  },
})

/** Whichever timeout is over sooner; infinite where there is none. */
function soonest(...timeouts: readonly number[]): number {
  return Math.min(...timeouts.map((each) => (each < 0 ? Number.POSITIVE_INFINITY : each)))
}

export const serve: typeof pipeline.serve = pipeline.serve
