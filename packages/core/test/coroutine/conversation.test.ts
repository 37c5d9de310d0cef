import { type FetchApp, transportOfCalls } from '@cs/core/connection'
import { Conversation, handler, Scheduler, type Steps, sleep } from '@cs/core/coroutine'
import { send } from '@cs/core/posix'
import { expect, onTestFinished, test } from 'vitest'
import { Peer, serviceOf } from '../connection/peer.js'

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'

/** A client, and the coroutine that converses with it; a turn is what a loop does when the socket is ready. */
function converse(fetch: FetchApp['fetch']) {
  const service = serviceOf(fetch as never)
  const peer = new Peer(service)
  const scheduler = new Scheduler({ ledger: service })
  const conversation = new Conversation(peer.connection, () => {})
  const log: string[] = []
  function* steps(): Steps<void> {
    try {
      let request: Request | undefined
      while ((request = yield* conversation.read()) !== undefined) {
        log.push(`read ${new URL(request.url).pathname}`)
        const response = yield* conversation.process(request)
        log.push(`processed ${response.status}`)
        yield* conversation.write(response)
        log.push('written')
      }
      log.push('end')
    } finally {
      conversation.end()
      log.push('closed')
    }
  }
  conversation.coroutine = scheduler.spawn(steps())
  scheduler.run()
  onTestFinished(() => scheduler.close())
  const turn = (): number => {
    conversation.ready()
    return scheduler.run()
  }
  /** Has bytes come, without advancing the connection itself. */
  const say = (text: string): number => {
    const bytes = Buffer.from(text, 'latin1')
    expect(send(peer.fd, bytes, 0, bytes.length)).toBe(bytes.length)
    return turn()
  }
  return { service, peer, scheduler, conversation, log, turn, say }
}

test('reads, processes and writes in the order of its lines', () => {
  const { peer, log, say } = converse(() => new Response('hi'))
  expect(log).toEqual([])
  say(GET.slice(0, 10))
  expect(log).toEqual([])
  say(GET.slice(10))
  expect(log).toEqual(['read /', 'processed 200', 'written'])
  expect(peer.hear()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nhi$/)
})

test('sends what answers pipelined requests together', () => {
  const { service, peer, say } = converse(() => new Response('hi'))
  let sends = 0
  service.transport = {
    ...transportOfCalls,
    send: (fd, bytes, length) => {
      sends++
      return transportOfCalls.send(fd, bytes, length)
    },
  }
  say(GET.repeat(10))
  expect(peer.hear().match(/200 OK/g)).toHaveLength(10)
  expect(sends).toBe(1)
})

test('waits until its client has taken the response', () => {
  const { peer, log, say, turn } = converse(() => new Response(new Uint8Array(5_000_000)))
  say(GET)
  expect(log).toEqual(['read /', 'processed 200'])
  let heard = 0
  while (heard < 5_000_000) {
    heard += peer.hear().length
    turn()
  }
  expect(log).toEqual(['read /', 'processed 200', 'written'])
})

test('takes a body for a handler that awaits it', async () => {
  const { service, peer, scheduler, say, log } = converse(async (request) => new Response(await request.text()))
  say('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello')
  expect(service.pending).toBe(1)
  say('world')
  await Promise.resolve()
  for (let i = 0; i < 100 && !log.includes('written'); i++) {
    await new Promise((resolve) => setImmediate(resolve))
    scheduler.run()
  }
  expect(peer.hear()).toMatch(/helloworld$/)
  expect(service.pending).toBe(0)
})

test('runs a handler that is a generator as a part of the coroutine', async () => {
  const steps = handler(function* () {
    yield* sleep(1)
    return new Response('slept')
  })
  const { peer, scheduler, say, log } = converse(steps)
  say(GET)
  expect(scheduler.size).toBe(1)
  while (!log.includes('written')) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    scheduler.run()
  }
  expect(peer.hear()).toMatch(/slept$/)
})

test('answers 500 for a handler that fails, however it does', async () => {
  for (const fetch of [
    () => {
      throw new Error('at once')
    },
    () => Promise.reject(new Error('later')),
    handler(function* () {
      yield
      throw new Error('in a turn')
    }),
    () => 'no response' as never,
  ]) {
    const { service, peer, scheduler, say, log } = converse(fetch)
    say(GET)
    for (let i = 0; i < 100 && !log.includes('written'); i++) {
      await new Promise((resolve) => setImmediate(resolve))
      scheduler.run()
    }
    expect(peer.hear()).toMatch(/^HTTP\/1\.1 500 /)
    expect(service.logged).toHaveLength(1)
    say(GET)
  }
})

test('ends, finally blocks and all, when the client is gone while a handler works', async () => {
  const log: string[] = []
  const { conversation, scheduler, say, ...rest } = converse(
    handler(function* () {
      try {
        yield* sleep(60_000)
      } finally {
        log.push('cleaned up')
      }
      return new Response()
    }),
  )
  say(GET)
  conversation.connection.close()
  conversation.gone()
  scheduler.run()
  expect([...log, ...rest.log]).toEqual(['cleaned up', 'read /', 'closed'])
  expect([scheduler.size, rest.service.logged]).toEqual([0, []])
})

test('cancels the stream of a response whose client is gone', async () => {
  let reason: unknown
  const { conversation, scheduler, say } = converse(
    () =>
      new Response(
        new ReadableStream({
          cancel: (why) => {
            reason = why
          },
        }),
      ),
  )
  say(GET)
  conversation.connection.close()
  conversation.gone()
  scheduler.run()
  await new Promise((resolve) => setImmediate(resolve))
  expect(reason).toMatchObject({ name: 'AbortError' })
  expect(scheduler.size).toBe(0)
})
