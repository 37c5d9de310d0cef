/** An app that sets timers on the loop that serves it: they note in the file FIRED when they were due, as they fire; or throw. */

import { appendFileSync } from 'node:fs'
import { EventLoop } from '@cs/core/loop'

const COUNT = 50

export default {
  fetch(request) {
    const { pathname } = new URL(request.url)
    if (pathname === '/throw') {
      EventLoop.current.setTimer(0, () => {
        throw new Error('thrown by a timer')
      })
    }
    if (pathname === '/timers') {
      // in no order: that of 0 ms, of 21, of 42, …
      for (let i = 0; i < COUNT; i++) {
        const due = ((i * 7) % COUNT) * 3
        EventLoop.current.setTimer(due, () => appendFileSync(process.env.FIRED, `${due}\n`))
      }
    }
    return new Response('ok')
  },
}
