/** What the models are compared with: node:http, with the same response, started and stopped like `cs serve`. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'text/plain;charset=UTF-8')
  response.end('Hello, World!')
})

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.stdout.write(`listening on http://127.0.0.1:${port} (node:http, pid ${process.pid})\n`)
})

process.once('SIGTERM', () => {
  server.close()
  server.closeIdleConnections()
})
