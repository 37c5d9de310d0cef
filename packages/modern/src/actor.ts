/**
 * actor: an actor accepts, one on each worker thread supervises, and each connection has an actor of its own.
 *
 *   acceptor: epoll_wait ─▶ acceptor actor: accept ─▶ tell(fd), to the worker actor with the fewest connections ─▶ inbox, wakeup
 *   worker 1 … N: epoll_wait ─┬▶ inbox: worker actor ─▶ spawn a connection actor
 *                             └▶ ready: tell its connection actor ─▶ recv → app → send      (fails: stopped, its connection alone)
 *
 * Waits in:      epoll_wait(2), one wait a thread
 * Shares:        the inbox of each thread, a board of loads
 * Crash:         an actor, and its one connection; a thread, with its connections, is started again
 * Choose it      for state that belongs to somebody: handlers send messages to actors of the app's own, on any thread.
 * Differs from   reactor with loops: what happens to a connection is a message in its mailbox, and who supervises it decides what
 *                becomes of it when it fails. Nothing is called across connections.
 * See:           Hewitt, Bishop, Steiger (1973); Agha (1986); Armstrong (2003); packages/modern/src/actor for the library
 */

import { availableParallelism } from 'node:os'
import {
  ConnectionSet,
  Door,
  defineModel,
  EpollDemultiplexer,
  integer,
  type Model,
  NestedLibuv,
  onThread,
  READABLE,
} from '@cs/core'
import { type ActorRef, ActorSystem, Mesh } from './actor/index.js'
import * as behaviors from './actor/server/behaviors.js'
import { Loads } from './actor/server/loads.js'

export * from './actor/index.js'

export interface ActorOptions {
  /** Threads, each with a worker actor. Default: one for each processor. */
  readonly workers: number
  /** Connections that may be on their way to workers; beyond it accepting waits. Default: 1024. */
  readonly waiting: number
}

interface Shared {
  readonly mesh: Mesh
  readonly loads: Loads
}

/** What a worker does about a connection that fails. */
const supervision = { decide: 'stop' } as const

/** Milliseconds after which a worker that is to stop looks whether it must, though nothing happens. */
const STOPPING_MS = 100

export const actor: Model<ActorOptions> = defineModel<ActorOptions, Shared>(import.meta, {
  name: 'actor',
  family: 'modern',
  summary: 'an actor for each connection, supervised by one on each thread',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'the threads wait in epoll(7), a call of Linux'),
  options: {
    workers: integer('threads, each with a worker actor', { default: availableParallelism(), min: 1, max: 1024 }),
    waiting: integer('connections that may be on their way to workers', { default: 1024, min: 1, max: 1 << 20 }),
  },
  shared: ({ workers }) => ({
    mesh: Mesh.create(1 + workers, { wakeup: 'eventfd' }),
    loads: Loads.create(workers),
  }),
  dispose: ({ mesh }) => mesh.dispose(),
  statistics: ({ loads }) => loads.statistics(),
  roles: {
    worker: onThread(
      { count: ({ workers }) => workers, accepts: false, readsAhead: true },
      async ({ shared: { mesh, loads }, service, stop, owned, index }) => {
        const demux = owned(new EpollDemultiplexer())
        const libuv = new NestedLibuv(demux)
        const system = new ActorSystem({ transport: mesh.at(1 + index), manual: true, log: service.log })
        const actors: (ActorRef<behaviors.ToConnection> | undefined)[] = []
        const fresh: ActorRef<behaviors.ToConnection>[] = []
        const connections = new ConnectionSet(service, forget)
        const acceptor = system.named<behaviors.ToAcceptor>(0, behaviors.ACCEPTOR)
        const inbox = mesh.wakeupOf(1 + index).fd
        const record = loads.recorder(system)
        const behavior = behaviors.worker({ service, demux, connections, actors, fresh }, took, () => (isOpen = false))
        let isOpen = true

        system.register(behaviors.WORKER, system.spawn(behavior, { name: behaviors.WORKER, supervision }))
        demux.add(stop.fd, READABLE)
        demux.add(inbox, READABLE)
        takeMail()
        while (isOpen || connections.size > 0) {
          const limit = stop.requested && isOpen ? STOPPING_MS : connections.timeout
          const ready = demux.wait(libuv.timeout(service, system.timeout(limit)))
          service.tick()
          for (let i = 0; i < ready; i++) {
            const fd = demux.fd(i)
            if (actors[fd] !== undefined) actors[fd].tell('ready')
            else if (fd === stop.fd) drain()
            else if (fd === inbox) system.woken()
            else libuv.takes(fd)
          }
          system.run()
          if (system.hasMail) takeMail()
          if (stop.forced) abandon()
          connections.sweep()
          loads.hold(index, connections.size)
          await libuv.breathe(service, ready)
          if (!system.isIdle) system.run() // what handlers have answered meanwhile
          record()
        }
        libuv.close()
        demux.close()

        /**
         * All of it, and before any handler runs again, which could end the thread: what was taken must be somebody's. Those who
         * come have mostly sent something by then.
         */
        function takeMail(): void {
          do system.turn()
          while (system.hasMail)
          for (const each of fresh.splice(0)) each.tell('ready')
          system.run()
          if (loads.takesUp()) acceptor.tell('relieved')
        }

        function took(): void {
          loads.take(index)
        }

        /** A connection was closed, by its actor or because its time was up. */
        function forget(fd: number): void {
          const gone = actors[fd]
          actors[fd] = undefined
          if (gone !== undefined) system.stop(gone)
        }

        function drain(): void {
          demux.remove(stop.fd)
          connections.drain()
        }

        function abandon(): void {
          isOpen = false
          connections.closeAll()
        }
      },
    ),

    acceptor: onThread(
      { handles: false },
      ({ options: { waiting }, shared: { mesh, loads }, listener, service, stop, owned, acceptedLast }) => {
        const demux = owned(new EpollDemultiplexer())
        const system = new ActorSystem({ transport: mesh.at(0), manual: true, log: service.log })
        const workers = Array.from({ length: loads.workers }, (_, index) =>
          system.named<behaviors.ToWorker>(1 + index, behaviors.WORKER),
        )
        const door = new Door(listener, demux, service, (fd) => behaviors.give(service, fd, loads, workers))
        const parts = { door, demux, listenerFd: listener.fd, loads, workers, waiting, acceptedLast }
        const acceptor = system.spawn(behaviors.acceptor(parts), { name: behaviors.ACCEPTOR })
        const inbox = mesh.wakeupOf(0).fd
        const record = loads.recorder(system)

        system.register(behaviors.ACCEPTOR, acceptor)
        demux.add(stop.fd, READABLE)
        demux.add(inbox, READABLE)
        while ((door.isOpen || !system.isIdle) && !stop.forced) {
          const ready = demux.wait(system.timeout(door.timeout(-1)))
          service.tick()
          for (let i = 0; i < ready; i++) {
            const fd = demux.fd(i)
            if (fd === listener.fd) acceptor.tell('ready')
            else if (fd === inbox) system.woken()
            else end()
          }
          system.turn()
          record()
        }
        door.abandon()
        demux.close()

        function end(): void {
          demux.remove(stop.fd)
          acceptor.tell('stop')
        }
      },
    ),
  },
})

export const serve: typeof actor.serve = actor.serve
