/**
 * Warmth for processes that fork: what a child compiles is lost with it, so the parent has everything compiled before the
 * first child, by serving clients that are not there.
 */

import { Connection, Service } from '../connection/index.js'
import { close, eventfd, formatAddress, send, socketpair } from '../posix/index.js'
import type { Listener } from '../socket/index.js'
import { BlockingThread } from './blocking-thread.js'

/** Serves `rounds` clients over socket pairs, with an app of its own; `rehearse` is called for each. */
export async function warmUp(
  { limits, timeouts }: Service,
  { address }: Listener,
  rounds: number,
  rehearse: () => void,
): Promise<void> {
  const host = address.family === 'unix' ? 'localhost' : formatAddress(address)
  const requests = ['Connection: close\r\n', ''].map((field) =>
    Buffer.from(`GET /a/path HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: none\r\nAccept: */*\r\n${field}\r\n`),
  )
  const app = { fetch: () => new Response('Hello, World!') }
  const service = new Service({ app, blocking: true, limits, timeouts, stopping: never, crowded: never })
  const rival = { fd: eventfd(), stopping: false }
  for (let i = 0; i < rounds; i++) {
    const request = requests[i % requests.length]
    const [client, server] = socketpair()
    send(client, request, 0, request.length)
    rehearse()
    const thread = BlockingThread.forked(service)
    const connection = Connection.accept(service, server)
    await connection.exchange()
    close(client)
    while (await thread.staysOn(connection, rival)) await connection.exchange()
    connection.close()
  }
  close(rival.fd)
}

function never(): boolean {
  return false
}
