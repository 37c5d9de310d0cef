import type { DemultiplexerName } from '@cs/core'
import { close, recv, send, socketpair } from '@cs/core/posix'
import { EventHandler, EventType, Reactor } from '@cs/patterns/reactor'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'

const byte = new Uint8Array(1)
const open: number[] = []

afterEach(() => {
  for (const fd of open.splice(0)) close(fd)
})

function pair(): [number, number] {
  const [a, b] = socketpair({ nonblocking: true })
  open.push(a, b)
  return [a, b]
}

function reactorOn(demultiplexer: DemultiplexerName): Reactor {
  const reactor = new Reactor({ demultiplexer })
  onTestFinished(() => reactor.close())
  return reactor
}

/** Notes what it is told. */
class Recorder extends EventHandler {
  readonly handle: number
  readonly told: string[] = []
  readonly #then: (what: string) => void

  constructor(handle: number, then: (what: string) => void = () => {}) {
    super()
    this.handle = handle
    this.#then = then
  }

  override handleInput(): void {
    recv(this.handle, byte, 0, 1)
    this.#note('input')
  }

  override handleOutput(): void {
    this.#note('output')
  }

  override handleClose(): void {
    this.#note('close')
  }

  #note(what: string): void {
    this.told.push(what)
    this.#then(what)
  }
}

describe.each(['select', 'poll', 'epoll', 'kqueue'] as const)('a reactor on %s', (name) => {
  it('dispatches each event to the hook of its handler, and nothing else', () => {
    const reactor = reactorOn(name)
    const [a, b] = pair()
    const [reader, writer] = [new Recorder(a), new Recorder(b)]
    reactor.registerHandler(reader, EventType.input)
    expect(reactor.handleEvents(0)).toBe(0)
    send(b, byte, 0, 1)
    reactor.registerHandler(writer, EventType.output)
    expect(reactor.handleEvents(0)).toBe(2)
    expect([reader.told, writer.told]).toEqual([['input'], ['output']])
  })

  it('tells what is left again', () => {
    const reactor = reactorOn(name)
    const [a, b] = pair()
    const handler = new Recorder(a)
    reactor.registerHandler(handler, EventType.input)
    send(b, new Uint8Array(2), 0, 2)
    for (let turn = 0; turn < 3; turn++) reactor.handleEvents(0)
    expect(handler.told).toEqual(['input', 'input'])
  })

  it('changes what a handler is told of', () => {
    const reactor = reactorOn(name)
    const [a, b] = pair()
    const handler = new Recorder(a)
    reactor.registerHandler(handler, EventType.none)
    send(b, byte, 0, 1)
    reactor.handleEvents(0)
    reactor.changeTypes(handler, EventType.input | EventType.output)
    reactor.handleEvents(0)
    expect(handler.told).toEqual(['input', 'output'])
  })

  it('tells a handler that is removed of its close alone, though it was ready in the same turn', () => {
    const reactor = reactorOn(name)
    const handlers: Recorder[] = []
    const removeOther = (self: number) => (what: string) => {
      if (what === 'output') reactor.removeHandler(handlers[1 - self])
    }
    for (const self of [0, 1]) handlers.push(new Recorder(pair()[0], removeOther(self)))
    for (const handler of handlers) reactor.registerHandler(handler, EventType.output)
    reactor.handleEvents(0)
    reactor.handleEvents(0)
    expect(handlers.map(({ told }) => told.join(' ')).sort()).toEqual(['close', 'output output'])
    expect(reactor.size).toBe(1)
  })

  it('gives no output to a handler that removed itself for its input', () => {
    const reactor = reactorOn(name)
    const [a, b] = pair()
    const handler: Recorder = new Recorder(a, (what) => what === 'input' && reactor.removeHandler(handler))
    reactor.registerHandler(handler, EventType.input | EventType.output)
    send(b, byte, 0, 1)
    reactor.handleEvents(0)
    expect(handler.told).toEqual(['input', 'close'])
  })

  it('forgets a handle that was closed, whose number another handler may have', () => {
    const reactor = reactorOn(name)
    const [a, b] = socketpair({ nonblocking: true })
    open.push(b)
    const handler = new Recorder(a)
    reactor.registerHandler(handler, EventType.output)
    close(a)
    reactor.closed(a)
    expect(handler.told).toEqual(['close'])
    expect(reactor.handlerOf(a)).toBeUndefined()
    expect(reactor.handleEvents(0)).toBe(0)
    expect(reactor.size).toBe(0)
  })

  it('runs until it is ended, with the timers and promises of Node beside it, and closes what is left', async () => {
    const reactor = new Reactor({ demultiplexer: name })
    const [a, b] = pair()
    const handler = new Recorder(a, (what) => what === 'input' && reactor.end())
    reactor.registerHandler(handler, EventType.input)
    setTimeout(() => Promise.resolve().then(() => send(b, byte, 0, 1)), 5)
    expect(Reactor.current).toBeUndefined()
    const running = reactor.run()
    expect(Reactor.current).toBe(reactor)
    await running
    expect(Reactor.current).toBeUndefined()
    expect(handler.told).toEqual(['input', 'close'])
  })
})

it('refuses a second handler for a handle, and changes of one that is not registered', () => {
  const reactor = reactorOn('epoll')
  const [a] = pair()
  reactor.registerHandler(new Recorder(a), EventType.input)
  expect(() => reactor.registerHandler(new Recorder(a), EventType.input)).toThrow(`handle ${a} has a handler already`)
  expect(() => reactor.changeTypes(new Recorder(a), EventType.input)).toThrow(`${a} is not registered`)
  expect(reactor.size).toBe(1)
})

it('throws what a hook throws, and can go on', () => {
  const reactor = reactorOn('epoll')
  const [a, b] = pair()
  const handler = new Recorder(a, () => {
    if (handler.told.length === 1) throw new Error('thrown by a hook')
  })
  reactor.registerHandler(handler, EventType.input)
  send(b, new Uint8Array(2), 0, 2)
  expect(() => reactor.handleEvents(0)).toThrow('thrown by a hook')
  reactor.handleEvents(0)
  expect(handler.told).toEqual(['input', 'input'])
})

it('tells of what others have put in its demultiplexer', () => {
  const reactor = reactorOn('epoll')
  const [a] = pair()
  const told: number[] = []
  reactor.otherwise = (handle) => void told.push(handle)
  reactor.demux.add(a, EventType.output)
  reactor.handleEvents(0)
  expect(told).toEqual([a])
})

it('leaves no descriptor to whoever makes and closes it', () => {
  const probe = (): number => {
    const [a, b] = socketpair()
    close(a)
    close(b)
    return a
  }
  const before = probe()
  for (let i = 0; i < 10; i++) new Reactor().close()
  expect(probe()).toBe(before)
})
