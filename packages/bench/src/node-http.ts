/**
 * What the models are compared with: node:http, with the same response, started and stopped like `cs serve`.
 * `--keep-alive-timeout MS` sets how long a connection may be idle, 0 for ever; without it as long as node:http lets it.
 * `--workers N` has so many processes serve, by node:cluster. A request for /burn costs 5 ms of CPU.
 */
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { burn } from './burn.js'

const { values } = parseArgs({ options: { 'keep-alive-timeout': { type: 'string' }, workers: { type: 'string' } } })
const keepAliveTimeout = values['keep-alive-timeout']

if (values.workers !== undefined && cluster.isPrimary) await lead(Number(values.workers))
else serve()

/** Has workers serve; each ends by the signal that this process passes on, and this one when they have. */
async function lead(count: number): Promise<void> {
  const workers = Array.from({ length: count }, () => cluster.fork())
  process.once('SIGTERM', () => {
    for (const worker of workers) worker.process.kill('SIGTERM')
  })
  const addresses = await Promise.all(workers.map((worker) => once(worker, 'listening')))
  announce((addresses[0] as [AddressInfo])[0])
}

function serve(): void {
  const server = createServer((request, response) => {
    if (request.url === '/burn') burn()
    response.setHeader('content-type', 'text/plain;charset=UTF-8')
    response.end('Hello, World!')
  })
  if (keepAliveTimeout !== undefined) server.keepAliveTimeout = Number(keepAliveTimeout)

  server.listen(0, '127.0.0.1', () => {
    if (cluster.isPrimary) announce(server.address() as AddressInfo)
  })

  process.once('SIGTERM', () => {
    server.close()
    server.closeIdleConnections()
    if (cluster.isWorker) process.disconnect()
  })
}

function announce({ port }: AddressInfo): void {
  process.stdout.write(`listening on http://127.0.0.1:${port} (node:http, pid ${process.pid})\n`)
}
