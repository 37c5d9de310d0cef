/**
 * proactor: operations are started, somebody else executes them, and their completions are dispatched to handlers.
 *
 *   initiators     acceptor ── accept ──┐           connection ── read, write ──┐
 *                                       ▼                                       ▼
 *   asynchronous operation processor: io_uring | aio | emulated ── completion event queue
 *                                       ▲                                       │
 *   proactor       loop: wait ──────────┘          dispatch: accepted, received → handler → write, sent
 *
 * Waits in:      io_uring_enter(2), which also submits what was started; or epoll_wait(2) where the processor has a reactor
 * Shares:        nothing; one thread starts every operation and dispatches every completion
 * Crash:         the loop and all its connections; it is started again
 * Choose it      where system calls cost more than work: one call a turn, however many connections; not where a slow handler
 *                must not stall the rest.
 * Differs from   epoll: it is told what has been done, not what could be done. So bytes need a place before they come: io_uring
 *                picks a buffer when they do, and a write keeps its own until it is complete.
 *                backend aio: the threads of the C library read and write, once a reactor knows that they need not wait.
 *                backend emulated: no operation is asynchronous; a reactor does it and posts the completion, as Asio does.
 * See:           POSA2 ch. 3 (Proactor); man 7 io_uring, man 7 aio
 */

import {
  Acceptor,
  AsynchronousTransport,
  type BackendChoice,
  CLOSED,
  type Connection,
  ConnectionSet,
  choice,
  defineModel,
  describeProcessor,
  type Model,
  NestedLibuv,
  onThreadOrCaller,
  openProcessor,
  READABLE,
  type Waiting,
  watcherOn,
} from '@cs/core'

export interface ProactorOptions {
  /** What executes the operations. Default: 'auto', io_uring where it can be had, and else emulated. */
  readonly backend: BackendChoice
}

export const proactor: Model<ProactorOptions> = defineModel<ProactorOptions>(import.meta, {
  name: 'proactor',
  family: 'patterns',
  summary: 'one thread starts operations and dispatches their completions',
  needs: ['Linux'],
  missing: () => (process.platform === 'linux' ? undefined : 'its backends are io_uring, AIO and epoll of Linux'),
  mechanism: ({ backend }) => describeProcessor(backend),
  options: {
    backend: choice('what executes the operations; auto: io_uring where it can be had, else emulated', {
      default: 'auto',
      choices: ['auto', 'io_uring', 'aio', 'emulated'],
    }),
  },
  roles: {
    loop: onThreadOrCaller({ readsAhead: true }, async ({ options, listener, service, stop, owned, acceptedLast }) => {
      const processor = owned(openProcessor(options.backend, (why) => service.log(`io_uring is not used: ${why}`)))
      const connections = new ConnectionSet(service, () => {})
      const libuv = new NestedLibuv(watcherOn(processor, (fd) => libuv.takes(fd)))
      service.transport = new AsynchronousTransport(processor, { sent })
      const acceptor = new Acceptor(listener, processor, service, enter)

      processor.watch(stop.fd, { ready: drain })
      while (acceptor.isOpen || connections.size > 0) {
        const completed = processor.wait(libuv.timeout(service, connections.timeout))
        service.tick()
        processor.dispatch() // calls enter, received, sent, drain
        if (stop.forced) connections.closeAll()
        connections.sweep()
        await libuv.breathe(service, completed)
      }
      libuv.close()
      processor.free()

      function enter(fd: number): void {
        const connection = connections.open(fd)
        connection.onProgress = () => heed(connection, connection.waiting)
        processor.read(fd, { received })
      }

      function received(fd: number, bytes: Buffer, n: number): void {
        const connection = connections.at(fd)!
        heed(connection, connection.received(bytes, n))
      }

      function sent(fd: number, n: number): void {
        const connection = connections.at(fd)!
        heed(connection, connection.sent(n))
      }

      /** Reads on, or not, as the connection can use it. */
      function heed(connection: Connection, waiting: Waiting): void {
        if (waiting === CLOSED) connections.forget(connection)
        else if (waiting === READABLE) {
          if (connection.registered !== READABLE) processor.read(connection.fd, { received })
          connection.registered = READABLE
        } else if (connection.registered === READABLE && connection.sated) {
          processor.pause(connection.fd)
          connection.registered = waiting
        }
      }

      function drain(): void {
        processor.cancel(stop.fd)
        acceptor.shut()
        acceptedLast()
        connections.drain()
      }
    }),
  },
})

export const serve: typeof proactor.serve = proactor.serve
