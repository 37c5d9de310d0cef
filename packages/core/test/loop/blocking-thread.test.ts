import { Connection, QUIET_MS, Service } from '@cs/core/connection'
import { installFetchGlobals } from '@cs/core/http'
import { BlockingThread } from '@cs/core/loop'
import { close, connect, type SocketAddress, send, socket, socketpair } from '@cs/core/posix'
import { Listener } from '@cs/core/socket'
import { BoundedQueue } from '@cs/core/sync'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { closeAll, keep } from '../posix/support.js'

installFetchGlobals()
afterEach(closeAll)

let service: Service
let thread: BlockingThread

beforeEach(() => {
  service = new Service({ app: { fetch: () => new Response('ok') }, blocking: true })
  thread = new BlockingThread(service)
  onTestFinished(() => thread.close())
})

describe('takenFrom', () => {
  it('gives what the queue has, in order, and ends with it', async () => {
    const queue = BoundedQueue.create(8)
    for (const item of [3, 1, 2]) queue.put(item)
    queue.close()
    const taken: number[] = []
    for await (const item of thread.takenFrom(queue)) taken.push(item)
    expect(taken).toEqual([3, 1, 2])
  })

  it('lets what an app left behind go on while it waits', async () => {
    const queue = BoundedQueue.create(8)
    const order: string[] = []
    service.appRan = true
    setTimeout(() => {
      order.push('timer')
      queue.put(1)
      queue.close()
    }, 20)
    process.nextTick(() => order.push('tick'))
    for await (const item of thread.takenFrom(queue)) order.push(`item ${item}`)
    expect(order).toEqual(['tick', 'timer', 'item 1'])
  })

  it('lets it go on while there is always something to take', async () => {
    const queue = BoundedQueue.create(8)
    let isDue = false
    setTimeout(() => {
      isDue = true
      queue.close()
    }, 5)
    queue.put(1)
    for await (const item of thread.takenFrom(queue)) {
      service.appRan = true
      if (!isDue) queue.put(item)
    }
    expect(isDue).toBe(true)
  })
})

/** A listener as a unit has it, and how to stop it. */
function listening(): { listener: Listener; client(): number; stop(): void } {
  const opener = Listener.open({ address: { family: 'ipv4', host: '127.0.0.1', port: 0 } })
  let stopping = false
  const listener = Listener.adopt(opener.fd, opener.address, () => stopping)
  onTestFinished(() => {
    listener.release()
    opener.close()
  })
  const client = () => {
    const fd = keep(socket('ipv4'))
    expect(connect(fd, opener.address as SocketAddress)).toBe(0)
    return fd
  }
  const stop = () => {
    stopping = true
    opener.unblock()
  }
  return { listener, client, stop }
}

describe('acceptedFrom', () => {
  it('gives each connection, and all that wait once the server stops', async () => {
    const { listener, client, stop } = listening()
    for (let i = 0; i < 5; i++) client()
    let last = -1
    const accepted: number[] = []
    for await (const fd of thread.acceptedFrom(listener, () => (last = accepted.length))) {
      accepted.push(keep(fd))
      if (accepted.length === 2) stop()
    }
    expect(accepted).toHaveLength(5)
    expect(last).toBe(2)
  })

  it('ends though an app has timers that always are due soon', async () => {
    const { listener, client, stop } = listening()
    client()
    let ticks = 0
    const timer = setInterval(() => {
      if (++ticks === 3) stop()
    }, 5)
    onTestFinished(() => clearInterval(timer))
    for await (const fd of thread.acceptedFrom(listener, () => {})) keep(fd)
    expect(ticks).toBeGreaterThanOrEqual(3)
  })
})

describe('staysOn', () => {
  const connected = () => {
    const [ours, theirs] = socketpair()
    const connection = Connection.accept(service, theirs)
    onTestFinished(() => {
      connection.close()
      close(ours)
    })
    return { ours, connection }
  }

  it('says yes once the client sends, though others wait', async () => {
    const { listener, client } = listening()
    const { ours, connection } = connected()
    client()
    send(ours, new Uint8Array([71]), 0, 1)
    expect(await thread.staysOn(connection, listener)).toBe(true)
  })

  it('says no where a client is silent and another waits', async () => {
    const { listener, client } = listening()
    const { ours, connection } = connected()
    const request = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    send(ours, request, 0, request.length)
    await connection.exchange()
    client()
    expect(await thread.staysOn(connection, listener)).toBe(false)
  })

  it('says no where the server stops and the client is silent', async () => {
    const { listener, stop } = listening()
    const { connection } = connected()
    stop()
    expect(await thread.staysOn(connection, listener)).toBe(false)
  })

  it('says no where the client has taken too long', async () => {
    service = new Service({
      app: { fetch: () => new Response('ok') },
      timeouts: { head: QUIET_MS, body: 1, write: 1, idle: 1 },
      blocking: true,
    })
    thread.close()
    thread = new BlockingThread(service)
    const { listener } = listening()
    expect(await thread.staysOn(connected().connection, listener)).toBe(false)
  })

  it('says no where the connection is closed', async () => {
    const { listener } = listening()
    const { connection } = connected()
    connection.close()
    expect(await thread.staysOn(connection, listener)).toBe(false)
  })
})
