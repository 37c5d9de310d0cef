import { EpollDemultiplexer, READABLE } from '@cs/core/demux'
import { Door } from '@cs/core/loop'
import { connect, socket } from '@cs/core/posix'
import { EXHAUSTED, EXHAUSTED_PAUSE_MS, Listener, NONE_WAITING } from '@cs/core/socket'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { closeAll, keep } from '../posix/support.js'

afterEach(() => {
  vi.restoreAllMocks()
  closeAll()
})

let listener: Listener
let demux: EpollDemultiplexer
let door: Door
let entered: number[]

beforeEach(() => {
  listener = Listener.open({ address: { family: 'ipv4', host: '127.0.0.1', port: 0 }, nonblocking: true })
  demux = new EpollDemultiplexer()
  entered = []
  door = new Door(listener, demux, (fd) => void entered.push(keep(fd)))
  onTestFinished(() => {
    demux.close()
    listener.close()
  })
})

function clients(count: number): void {
  for (let i = 0; i < count; i++) expect(connect(keep(socket('ipv4')), listener.address)).toBe(0)
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
  })

  it('takes all when it is shut, and then nobody', () => {
    clients(150)
    door.shut()
    expect(entered).toHaveLength(150)
    expect(connect(keep(socket('ipv4')), listener.address)).toBeLessThan(0)
    expect(demux.wait(0)).toBe(0)
    expect(listener.take(true)).not.toBe(NONE_WAITING)
  })
})
