/**
 * Half-sync/half-async by hand: this thread has the socket, another runs the handler, and sleeps on a futex until a request crosses.
 * Run it with node examples/half-sync-async.mjs
 */
import { isMainThread, threadId, Worker, workerData } from 'node:worker_threads'
import { BlockingThread, Service, Workload } from '@cs/core'
import { Connection } from '@cs/core/connection'
import { Answerer, Caller, Crossing } from '@cs/core/crossing'
import { installFetchGlobals } from '@cs/core/http'
import { close, recv, send, socketpair } from '@cs/core/posix'

if (isMainThread) {
  const crossing = Crossing.create({ answerers: 1, processors: 1, waiting: 8 })
  const worker = new Worker(new URL(import.meta.url), { workerData: crossing.share() })
  const service = new Service({ app: { fetch: () => Response.error() } })
  const caller = new Caller(crossing, 0, service) // from now on in the place of the app
  const [client, server] = socketpair({ nonblocking: true })
  const connection = Connection.accept(service, server)

  const request = Buffer.from('GET / HTTP/1.1\r\nhost: example\r\n\r\n'.repeat(2)) // the second waits for the first
  send(client, request, 0, request.length)
  connection.advance() // recv, parse; the first request crosses
  while (connection.busy) {
    if (caller.lieDown(-1) !== 0) crossing.callerBell(0).sleep(Number.POSITIVE_INFINITY)
    caller.rise()
    caller.receive() // the response goes out, and the next request crosses
  }
  const answers = Buffer.alloc(4096)
  const text = answers.latin1Slice(0, recv(client, answers, 0, answers.length))
  console.log(`thread ${threadId} heard: ${text.match(/request .*/g)?.join(', ')}`)
  crossing.close()
  worker.on('exit', () => [client, server].map(close))
} else {
  installFetchGlobals() // light responses cross whole; those of Node carry streams, for which both sides must take turns
  let count = 0
  const service = new Service({ app: { fetch: () => new Response(`request ${++count} on thread ${threadId}\n`) } })
  const answerer = new Answerer(Crossing.from(workerData), 0, service, Workload.create(1).row(0, service.table))
  const thread = new BlockingThread(service)
  while (!answerer.isDone) if (!answerer.takes() && !answerer.sleep(thread.patience)) await thread.breathe()
  answerer.close()
}
