/** An app whose answer is no promise, though it looks like one: whoever awaits it is thrown at, outside of any handler. */
import { threadId } from 'node:worker_threads'

export default {
  fetch(request) {
    if (new URL(request.url).pathname !== '/poison') return Response.json({ threadId })
    return {
      // biome-ignore lint/suspicious/noThenProperty: that is the point
      then() {
        throw new Error('poison')
      },
    }
  },
}
