/** What a model cannot do by its nature. Each exception is tried all the same: one that is needed no more fails. */

import type { Exception } from './contract/case.js'

export const exceptions: Readonly<Record<string, readonly Exception[]>> = {
  'single-process': [
    {
      reason: 'one connection at a time: whoever holds the server keeps all others waiting',
      cases: [
        'serves others while a client reads 10 MB slowly',
        'serves others while 32 clients send slowly',
        'serves others while 32 clients read slowly',
      ],
    },
  ],
  'process-pool1': [
    {
      reason:
        'one connection at a time in each process: as many slow clients as there are processes keep all others waiting',
      cases: ['serves others while 32 clients send slowly', 'serves others while 32 clients read slowly'],
    },
  ],
  'process-pool2': [
    {
      reason: 'who is hashed to the socket of a process that is with a slow client waits for it',
      cases: [
        'serves others while a client reads 10 MB slowly',
        'serves others while 32 clients send slowly',
        'serves others while 32 clients read slowly',
      ],
    },
    {
      reason: 'Unix sockets have no SO_REUSEPORT: there can be one on a path',
      cases: [
        'listens on a Unix socket, whose file it removes',
        'replaces the socket file of a server that was killed',
        'leaves a socket alone on which somebody listens',
      ],
    },
  ],
}
