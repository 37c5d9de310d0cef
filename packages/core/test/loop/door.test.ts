import { PAUSES, Service } from '@cs/core/connection'
import { EpollDemultiplexer, READABLE } from '@cs/core/demux'
import { Door } from '@cs/core/loop'
import { close, connect, recvPeek, socket } from '@cs/core/posix'
import { EXHAUSTED, EXHAUSTED_PAUSE_MS, Listener, NONE_WAITING } from '@cs/core/socket'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { closeAll, closeLast, keep } from '../posix/support.js'

afterEach(() => {
  vi.restoreAllMocks()
  closeAll()
})

let listener: Listener
let demux: EpollDemultiplexer
let door: Door
let service: Service
let entered: number[]
let said: string[]

beforeEach(() => {
  listener = Listener.open({ address: { family: 'ipv4', host: '127.0.0.1', port: 0 }, nonblocking: true })
  demux = new EpollDemultiplexer()
  entered = []
  said = []
  service = new Service({ app: { fetch: () => new Response() }, log: (message) => said.push(message) })
  door = new Door(listener, demux, service, (fd) => void entered.push(keep(fd)))
  onTestFinished(() => {
    demux.close()
    listener.close()
  })
})

function clients(count: number): number[] {
  return Array.from({ length: count }, () => {
    const fd = keep(socket('ipv4'))
    expect(connect(fd, listener.address)).toBe(0)
    return fd
  })
}

describe('a door', () => {
  it('takes what waits, and only for its own event', () => {
    clients(3)
    expect(demux.wait(-1)).toBe(1)
    expect([demux.fd(0), demux.ready(0)]).toEqual([listener.fd, READABLE])
    expect(door.takes(listener.fd + 1)).toBe(false)
    expect(entered).toEqual([])
    expect(door.takes(listener.fd)).toBe(true)
    expect(entered).toHaveLength(3)
    expect(demux.wait(0)).toBe(0)
  })

  it('takes a bounded number at a time and is told of the rest again', () => {
    clients(150)
    demux.wait(-1)
    door.takes(listener.fd)
    const burst = entered.length
    expect(burst).toBeLessThan(150)
    for (let turns = 0; demux.wait(0) > 0 && turns < 10; turns++) door.takes(listener.fd)
    expect(entered).toHaveLength(150)
  })

  it('looks away while descriptors are short, and again after a pause', () => {
    clients(2)
    const now = vi.spyOn(Date, 'now').mockReturnValue(1e12)
    const take = vi.spyOn(listener, 'take').mockReturnValue(EXHAUSTED)
    expect(demux.wait(-1)).toBe(1)
    door.takes(listener.fd)
    expect(take).toHaveBeenCalledTimes(1)
    expect(demux.wait(0)).toBe(0) // nothing spins
    expect([door.timeout(-1), door.timeout(10)]).toEqual([EXHAUSTED_PAUSE_MS, 10])
    take.mockRestore()
    now.mockReturnValue(1e12 + EXHAUSTED_PAUSE_MS)
    expect([door.timeout(-1), door.timeout(10)]).toEqual([-1, 10])
    expect(demux.wait(-1)).toBe(1)
    door.takes(listener.fd)
    expect(entered).toHaveLength(2)
    expect([service.counters[PAUSES], said]).toEqual([1, [expect.stringContaining('no descriptor is left')]])
  })

  it('ends a pause that another door of the same demultiplexer has begun, where they share the cell that tells', () => {
    const pausedUntil = new Float64Array(1)
    const enter = (fd: number): void => void entered.push(keep(fd))
    const [one, other] = [1, 2].map(() => new Door(listener, demux, service, enter, pausedUntil))
    clients(1)
    const now = vi.spyOn(Date, 'now').mockReturnValue(1e12)
    const take = vi.spyOn(listener, 'take').mockReturnValue(EXHAUSTED)
    expect(demux.wait(-1)).toBe(1)
    one.takes(listener.fd)
    take.mockRestore()
    expect([demux.wait(0), other.timeout(-1)]).toEqual([0, EXHAUSTED_PAUSE_MS])
    now.mockReturnValue(1e12 + EXHAUSTED_PAUSE_MS)
    expect([other.timeout(-1), demux.wait(0)]).toEqual([-1, 1])
    other.takes(listener.fd)
    expect(entered).toHaveLength(1)
  })

  it('takes until EAGAIN where edges are told, and asks to be told of what it leaves to the next turn', () => {
    const edge = new EpollDemultiplexer({ trigger: 'edge' })
    onTestFinished(() => edge.close())
    demux.remove(listener.fd)
    const edgeDoor = new Door(listener, edge, service, (fd) => void entered.push(keep(fd)))
    clients(150)
    for (let turns = 0; edge.wait(0) > 0 && turns < 10; turns++) edgeDoor.takes(listener.fd)
    expect(entered).toHaveLength(150)
    clients(1)
    expect(edge.wait(0)).toBe(1)
  })

  it('takes all when it is shut, and then nobody', () => {
    clients(150)
    door.shut()
    expect(entered).toHaveLength(150)
    expect(connect(keep(socket('ipv4')), listener.address)).toBeLessThan(0)
    expect(demux.wait(0)).toBe(0)
    expect(listener.take(true)).not.toBe(NONE_WAITING)
  })

  it('holds who comes under a number that cannot be watched, and lets in who is held when a lower one is free', () => {
    clients(3)
    const limit = keep(socket('ipv4')) + 1
    closeLast()
    Object.defineProperty(demux, 'limit', { value: limit })
    expect(demux.wait(-1)).toBe(1)
    door.takes(listener.fd)
    expect(entered).toEqual([limit - 1])
    expect([demux.wait(0), door.timeout(-1)]).toEqual([0, EXHAUSTED_PAUSE_MS]) // nothing spins, nobody else is taken
    expect([service.counters[PAUSES], said]).toEqual([1, [expect.stringContaining(`no descriptor from ${limit} on`)]])
    close(limit - 1)
    expect(door.timeout(-1)).toBe(-1)
    expect(entered).toEqual([limit - 1, limit - 1])
    expect(demux.wait(0)).toBe(1) // the third
    door.takes(listener.fd)
    expect([entered.length, door.timeout(-1)]).toEqual([2, EXHAUSTED_PAUSE_MS])
  })

  it('stays open, once it is shut, until nobody is held', () => {
    clients(2)
    Object.defineProperty(demux, 'limit', { value: 0 })
    door.shut()
    expect([entered, door.isOpen, door.timeout(-1)]).toEqual([[], true, EXHAUSTED_PAUSE_MS])
    Object.defineProperty(demux, 'limit', { value: Number.POSITIVE_INFINITY })
    expect([door.timeout(-1), entered.length, door.isOpen]).toEqual([-1, 2, false])
  })

  it('closes who is held when it is abandoned', () => {
    const held = clients(2)
    Object.defineProperty(demux, 'limit', { value: 0 })
    door.shut()
    door.abandon()
    expect(door.isOpen).toBe(false)
    expect(held.map((fd) => recvPeek(fd, new Uint8Array(1), 0, 1))).toEqual([0, 0])
  })
})
