/** What the actors of the server do. Those of one thread share its service, its demultiplexer and its connections. */

import {
  CLOSED,
  Connection,
  type ConnectionSet,
  type Demultiplexer,
  type Door,
  READABLE,
  type Service,
  type Waiting,
} from '@cs/core'
import { type Behavior, Behaviors } from '../behavior.js'
import type { ActorRef } from '../ref.js'
import type { Loads } from './loads.js'

/** Names under which other threads know actors. */
export const ACCEPTOR = 'acceptor'
export const WORKER = 'worker'

/** Connections wait in the backlog, a worker has taken some of those that wait for it, or the server is to stop. */
export type ToAcceptor = 'ready' | 'relieved' | 'stop'

/** The descriptor of a connection, or that none will come any more. */
export type ToWorker = number | 'last'

/** What the demultiplexer says, or the app. */
export type ToConnection = 'ready' | 'progress'

export interface AcceptorParts {
  /** Takes what waits, and gives each connection to {@link give}. */
  readonly door: Pick<Door, 'takes' | 'shut'>
  readonly listenerFd: number
  readonly demux: Pick<Demultiplexer, 'modify'>
  readonly loads: Loads
  readonly workers: readonly ActorRef<ToWorker>[]
  /** Connections that may be on their way to workers. */
  readonly waiting: number
  readonly acceptedLast: () => void
}

/** Accepts as long as workers take what they are given. */
export function acceptor(parts: AcceptorParts): Behavior<ToAcceptor> {
  const { door, demux, listenerFd, loads, workers, waiting } = parts
  const accepting: Behavior<ToAcceptor> = Behaviors.receive((_, message) => {
    if (message === 'stop') return stop()
    if (message !== 'ready') return Behaviors.same
    door.takes(listenerFd)
    return loads.hasRoom(waiting) ? Behaviors.same : pause()
  })
  const paused: Behavior<ToAcceptor> = Behaviors.receive((_, message) => {
    if (message === 'stop') return stop()
    return message === 'relieved' ? resume() : Behaviors.same
  })

  function pause(): Behavior<ToAcceptor> {
    loads.pause()
    if (loads.hasRoom(waiting)) return Behaviors.same // a worker took some before it could know that it should tell
    demux.modify(listenerFd, 0)
    return paused
  }

  function resume(): Behavior<ToAcceptor> {
    if (!loads.hasRoom(waiting)) loads.pause()
    if (!loads.hasRoom(waiting)) return Behaviors.same
    demux.modify(listenerFd, READABLE)
    return accepting
  }

  function stop(): Behavior<ToAcceptor> {
    door.shut()
    parts.acceptedLast()
    for (const worker of workers) worker.tell('last')
    return Behaviors.stopped
  }

  return accepting
}

/** Gives a connection to the worker that has the fewest. Acceptor's thread only. */
export function give(service: Service, fd: number, loads: Loads, workers: readonly ActorRef<ToWorker>[]): void {
  if (Connection.pass(service, fd)) workers[loads.give()].tell(fd)
}

/** What the connections of one worker have in common. */
export interface Crew {
  readonly service: Service
  readonly demux: Pick<Demultiplexer, 'add' | 'modify'>
  readonly connections: ConnectionSet
  /** The actor of each connection, by its descriptor. */
  readonly actors: (ActorRef<ToConnection> | undefined)[]
  /** The actors of those that have just come. */
  readonly fresh: ActorRef<ToConnection>[]
}

/** Has an actor for each connection that it is given; one that fails is stopped, and that is its connection's end. */
export function worker(crew: Crew, took: () => void, last: () => void): Behavior<ToWorker> {
  const { service, actors, fresh } = crew
  return Behaviors.receive((context, message) => {
    if (message === 'last') last()
    else {
      if (service.table.claim(message, service.owner)) {
        const actor = context.spawn(connection(crew, message))
        actors[message] = actor
        fresh.push(actor)
      }
      took()
    }
    return Behaviors.same
  })
}

/** Serves one connection as far as it can whenever it hears of something, and ends with it. */
export function connection({ service, connections, demux, actors }: Crew, fd: number): Behavior<ToConnection> {
  return Behaviors.setup(({ self }) => {
    const connection = connections.take(fd)
    connection.onProgress = () => self.tell('progress')
    demux.add(fd, READABLE)

    return Behaviors.receive<ToConnection>(
      (_, message) => watch(message === 'ready' ? advance() : connection.waiting),
      () => end(),
    )

    function advance(): Waiting {
      try {
        return connection.advance()
      } catch (error) {
        service.output.clear() // what it had to say is for nobody else, who may be next
        service.active = undefined
        throw error
      }
    }

    function watch(waiting: Waiting): Behavior<ToConnection> {
      if (waiting === CLOSED) return end()
      if (waiting !== connection.registered) demux.modify(fd, (connection.registered = waiting))
      return Behaviors.same
    }

    function end(): Behavior<ToConnection> {
      if (actors[fd] === self) actors[fd] = undefined // it need not be told
      connection.close()
      connections.forget(connection)
      return Behaviors.stopped
    }
  })
}
