/**
 * Multi-process: a forked child for each connection.
 *
 *   parent: poll ─▶ accept ─▶ fork(2) ↺ ─▶ waitpid                    (a process of its own, not the user's)
 *     child: recv → handler → send ↺ while the client has more ─▶ close ─▶ _exit(2)
 *
 * Waits in:      poll(2) in the parent; in a child recv(2) and send(2), and poll(2) between two requests
 * Shares:        nothing after the fork, but cells for states and counters; before it, the parent's memory, copied on write
 * Crash:         one child and its one connection; the parent counts it and goes on
 * Choose it      where each connection must have a process of its own, that may crash, leak or be killed; nothing costs more.
 * Differs from   process-pool1: no process outlives its connection, and there are as many as there are connections.
 * See:           UNP §30.5 (one child per client); APUE §8.3 (fork); man 2 fork
 */

import { BlockingThread, Children, Connection, defineModel, integer, type Model, onProcess } from '@cs/core'

export interface MultiProcessOptions {
  /** Connections that are served at once, each by a child; beyond it they wait in the backlog. Default: 256. */
  readonly children: number
}

/** What makes a fork of node safe, and cheap: docs/decisions/0004-fork-per-connection.md has the figures. */
const FLAGS = [
  '--single-threaded', // V8's threads would not come along, and might map memory in the moment of the fork
  '--v8-pool-size=0',
  '--max-semi-space-size=1', // MB: each fork copies the page tables of whatever the parent has
  '--use-largepages=on', // the program text in pages of 2 MB, which a child need not map one by one
  '--no-flush-bytecode', // what the parent has compiled must not be compiled again in each child
]

export const multiProcess: Model<MultiProcessOptions> = defineModel<MultiProcessOptions>(import.meta, {
  name: 'multi-process',
  family: 'process-models',
  summary: 'a forked child for each connection',
  needs: ['Linux'],
  missing: () =>
    process.platform === 'linux' ? undefined : 'the memory of V8 is made to survive fork(2) with madvise of Linux',
  options: {
    children: integer('connections that are served at once, each by a child', { default: 256, min: 1, max: 16_384 }),
  },
  roles: {
    parent: onProcess({ blocking: true, children: ({ children }) => children, flags: FLAGS }, async (context) => {
      const { listener, service, acceptedLast } = context
      const children = new Children(context)
      await children.warmUp()
      for await (const fd of children.acceptedFrom(listener, acceptedLast)) {
        if (!children.fork(fd)) continue
        const thread = BlockingThread.forked(service) // from here on the child only
        const connection = Connection.accept(service, fd)
        do await connection.exchange()
        while (await thread.staysOn(connection, children.rival))
        connection.close()
        await children.leave() // never returns
      }
    }),
  },
})

export const serve: typeof multiProcess.serve = multiProcess.serve
