/** What a model cannot do by its nature. Each exception is tried all the same: one that is needed no more fails. */

import type { Exception } from './contract/case.js'

export const exceptions: Readonly<Record<string, readonly Exception[]>> = {
  'single-process': [
    {
      reason: 'one connection at a time: whoever holds the server keeps all others waiting',
      cases: [
        'serves others while a client reads 10 MB slowly',
        'serves others while 64 clients send slowly',
        'serves others while 64 clients read slowly',
      ],
    },
    {
      reason: 'the thread that is with a client is the only one that can empty the backlog before listening ends',
      cases: ['listens no more while it waits for a handler in flight, whose answer says that it is the last'],
    },
  ],
}
