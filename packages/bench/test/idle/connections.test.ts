import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { IdleConnections } from '../../dist/idle/connections.js'

const { signal } = new AbortController()
const COUNT = 150 // more than are opened at a time

let server: Server | undefined
const sockets = new Set<Socket>()
let requests = 0

afterEach(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => server?.close(resolve))
  requests = 0
})

async function listen(headers: Readonly<Record<string, string>> = {}): Promise<IdleConnections> {
  server = createServer((_request, response) => {
    requests++
    response.writeHead(200, { 'content-length': 13, ...headers }).end('Hello, World!')
  })
  server.keepAliveTimeout = 0
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return new IdleConnections(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
}

describe('idle connections', () => {
  it('are open after one answer each, and all closed at the end', async () => {
    const connections = await listen()
    await connections.grow(10, signal)
    expect([connections.size, sockets.size, requests]).toEqual([10, 10, 10])
    await connections.grow(COUNT, signal)
    expect([connections.size, sockets.size, requests]).toEqual([COUNT, COUNT, COUNT])
    connections.assertOpen()
    await connections.close()
    expect(connections.size).toBe(0)
    await expect.poll(() => sockets.size).toBe(0)
  })

  it('are missed when the server closes one', async () => {
    const connections = await listen()
    await connections.grow(5, signal)
    const [first] = sockets
    first?.destroy()
    await expect.poll(() => connections.size).toBe(4)
    expect(() => connections.assertOpen()).toThrow('closed 1 of 5 idle connections')
    await connections.close()
  })

  it('must be kept by the server', async () => {
    const connections = await listen({ connection: 'close' })
    await expect(connections.grow(1, signal)).rejects.toThrow('was answered HTTP/1.1 200 OK, and is not kept')
    await connections.close()
    await expect.poll(() => sockets.size).toBe(0)
  })

  it('are refused when nobody listens', async () => {
    const connections = await listen()
    await new Promise((resolve) => server?.close(resolve))
    await expect(connections.grow(3, signal)).rejects.toThrow('an idle connection failed: connect ECONNREFUSED')
    await connections.close()
    expect(connections.size).toBe(0)
  })

  it('are not opened after the signal', async () => {
    const connections = await listen()
    await expect(connections.grow(3, AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop')
    expect(sockets.size).toBe(0)
  })
})
