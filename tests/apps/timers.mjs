/** An app that sets timers on the loop that serves it, which note in the file FIRED when they were due, as they fire. */

import { appendFileSync } from 'node:fs'
import { EventLoop } from '@cs/core/loop'

const COUNT = 50

export default {
  fetch(request) {
    if (new URL(request.url).pathname === '/timers') {
      // in no order: that of 0 ms, of 21, of 42, …
      for (let i = 0; i < COUNT; i++) {
        const due = ((i * 7) % COUNT) * 3
        EventLoop.current.setTimer(due, () => appendFileSync(process.env.FIRED, `${due}\n`))
      }
    }
    return new Response('ok')
  },
}
