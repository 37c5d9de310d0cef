/**
 * What the models are compared with: node:http, with the same response, started and stopped like `cs serve`.
 * `--keep-alive-timeout MS` sets how long a connection may be idle, 0 for ever; without it as long as node:http lets it.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { 'keep-alive-timeout': { type: 'string' } } })
const keepAliveTimeout = values['keep-alive-timeout']

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'text/plain;charset=UTF-8')
  response.end('Hello, World!')
})
if (keepAliveTimeout !== undefined) server.keepAliveTimeout = Number(keepAliveTimeout)

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.stdout.write(`listening on http://127.0.0.1:${port} (node:http, pid ${process.pid})\n`)
})

process.once('SIGTERM', () => {
  server.close()
  server.closeIdleConnections()
})
