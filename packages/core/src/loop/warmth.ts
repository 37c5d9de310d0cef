/**
 * Warmth for processes that fork: what a child compiles is lost with it, so the parent has everything compiled before the
 * first child, by serving clients that are not there.
 */

import { Connection, type FetchApp, Service } from '../connection/index.js'
import { close, eventfd, formatAddress, send, socketpair } from '../posix/index.js'
import type { Listener } from '../socket/index.js'
import { BlockingThread } from './blocking-thread.js'

/** What clients send: with heads of many shapes, that what is compiled for them need not be thrown away for the next one. */
const REQUESTS: readonly string[] = [
  'GET / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n',
  'GET /a/path?with=query HTTP/1.1\r\nHost: HOST\r\nUser-Agent: none/1.0\r\nAccept: */*\r\n\r\n',
  'GET / HTTP/1.1\r\nhost: HOST\r\nconnection: keep-alive\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64)\r\n' +
    'accept: text/html,*/*;q=0.8\r\naccept-encoding: gzip, deflate, br\r\naccept-language: en;q=0.5\r\n' +
    'cookie: a=1; b=2\r\nif-none-match: "e"\r\n\r\n',
  'POST /a HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
  'GET /a HTTP/1.0\r\n\r\n',
]

/** What answers them: more than one function, since a call that has only ever met one is compiled for that one. */
const APPS: readonly FetchApp[] = [
  { fetch: () => new Response('Hello, World!') },
  { fetch: (request) => new Response(request.url, { headers: { 'content-type': 'text/plain' } }) },
  { fetch: () => Response.json({ hello: 'world' }, { status: 201 }) },
]

/** Serves `rounds` clients over socket pairs, with apps of its own; `rehearse` is called for each. */
export async function warmUp(
  { limits, timeouts, stopping, crowded }: Service,
  { address }: Listener,
  rounds: number,
  rehearse: () => Promise<void>,
): Promise<void> {
  const host = address.family === 'unix' ? 'localhost' : formatAddress(address)
  const requests = REQUESTS.map((text) => Buffer.from(text.replace('HOST', host)))
  const service = new Service({ app: APPS[0]!, blocking: true, limits, timeouts, stopping, crowded })
  const rival = { fd: eventfd(), stopping: false }
  for (let i = 0; i < rounds; i++) {
    const request = requests[i % requests.length]!
    const [client, server] = socketpair()
    service.app = APPS[i % APPS.length]!
    send(client, request, 0, request.length)
    await rehearse()
    const thread = BlockingThread.forked(service)
    const connection = Connection.accept(service, server)
    await connection.exchange()
    close(client)
    while (await thread.staysOn(connection, rival)) await connection.exchange()
    connection.close()
  }
  close(rival.fd)
}
