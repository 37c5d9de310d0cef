import { Worker } from 'node:worker_threads'
import { ConnectionTable, FREE, type Left, PARKED, QUEUED } from '@cs/core/socket'
import { describe, expect, it, onTestFinished } from 'vitest'

const LEFT: Left = { since: 0, limit: 0, flags: 0, address: 0, size: 0, unparsed: 0, unsent: 0 }

/** A table of so many rows, as one that another thread shared. */
function tableOf(rows: number): ConnectionTable {
  return ConnectionTable.from({ buffer: new SharedArrayBuffer((8 + rows * 10) * 4) })
}

describe('the owner of a row', () => {
  it('changes from unit to lot to queue to unit and back to free', () => {
    const table = tableOf(10)
    expect(table.owner(3)).toBe(FREE)
    expect(table.enter(3, 7)).toBe(true)
    expect(table.owner(3)).toBe(7)
    table.park(3, LEFT)
    expect(table.owner(3)).toBe(PARKED)
    expect(table.queue(3)).toBe(true)
    expect(table.owner(3)).toBe(QUEUED)
    expect(table.claim(3, 2)).toBe(true)
    expect(table.owner(3)).toBe(2)
    table.leave(3)
    expect(table.owner(3)).toBe(FREE)
    expect(table.size).toBe(0)
  })

  it('changes only from where it is', () => {
    const table = tableOf(10)
    table.enter(3, 7)
    expect([table.queue(3), table.claim(3, 2), table.reclaim(3, 2)]).toEqual([false, false, false])
    table.park(3, LEFT)
    expect([table.claim(3, 2), table.reclaim(3, 2), table.queue(3)]).toEqual([false, true, false])
    table.pass(3, LEFT)
    expect([table.queue(3), table.reclaim(3, 1), table.claim(3, 5), table.claim(3, 6)]).toEqual([
      false,
      false,
      true,
      false,
    ])
  })

  it('is listed, by unit and by state', () => {
    const table = tableOf(10)
    for (const fd of [1, 4, 9]) table.enter(fd, 1)
    table.enter(5, 2)
    table.park(4, LEFT)
    expect([...table.ownedBy(1)]).toEqual([1, 9])
    expect([...table.ownedBy(PARKED)]).toEqual([4])
    expect(table.size).toBe(4)
  })

  it('is the same for every thread that opens the table', () => {
    const table = tableOf(10)
    const other = ConnectionTable.from(table.share())
    table.enter(8, 3)
    expect(other.owner(8)).toBe(3)
    expect([...other.ownedBy(3)]).toEqual([8])
  })
})

describe('capacity', () => {
  it('refuses a descriptor that has no row and touches none', () => {
    const table = tableOf(10)
    expect(table.capacity).toBe(10)
    expect(table.enter(9, 1)).toBe(true)
    expect(table.enter(10, 1)).toBe(false)
    expect(table.size).toBe(1)
  })

  it('has a row for every descriptor that the process may have', () => {
    expect(ConnectionTable.create().capacity).toBeGreaterThanOrEqual(1024)
  })
})

describe('what is left', () => {
  it.each([
    ['nothing', LEFT],
    ['a 48-bit address', { ...LEFT, address: 0x7fff_ffff_fff0, size: 100, unparsed: 40, unsent: 60 }],
    ['an address whose low word has its top bit set', { ...LEFT, address: 0x7f12_8000_0010, size: 1 }],
    ['an address below 2^32', { ...LEFT, address: 0xffff_ffff, size: 1 }],
    ['flags and a time', { ...LEFT, since: -5, limit: 65_000, flags: 0x10f }],
    ['a deadline that wraps', { ...LEFT, since: 2 ** 31 - 10, limit: 86_400_000 }],
  ] as [string, Left][])('arrives as it was: %s', (_, left) => {
    const table = tableOf(4)
    table.enter(2, 1)
    table.park(2, left)
    expect(ConnectionTable.from(table.share()).left(2)).toEqual(left)
  })
})

describe('overdue', () => {
  const parkedAt = (since: number, limit: number) => {
    const table = tableOf(4)
    table.enter(1, 1)
    table.park(1, { ...LEFT, since, limit })
    return (now: number) => [...table.overdue(now)]
  }

  it('lists what is parked once its time is up, to the millisecond', () => {
    const overdue = parkedAt(1000, 500)
    expect([overdue(1499), overdue(1500)]).toEqual([[], [1]])
  })

  it('counts across the wrap of the clock at 2^31', () => {
    const overdue = parkedAt(2 ** 31 - 100, 500)
    expect(overdue((2 ** 31 - 1) | 0)).toEqual([])
    expect(overdue((2 ** 31 + 399) | 0)).toEqual([])
    expect(overdue((2 ** 31 + 400) | 0)).toEqual([1])
  })

  it('never lists what may wait for ever, nor what is on a thread or in a queue', () => {
    expect(parkedAt(0, 0)(2 ** 30)).toEqual([])
    const table = tableOf(4)
    table.enter(1, 1)
    table.park(1, { ...LEFT, limit: 1 })
    table.queue(1)
    expect([...table.overdue(1000)]).toEqual([])
  })
})

describe('a stampede', () => {
  it.each(['queue', 'claim', 'reclaim'] as const)(
    'of threads has exactly one winner of %s for each row',
    async (step) => {
      const rows = 2000
      const threads = 4
      const table = tableOf(rows)
      for (let fd = 0; fd < rows; fd++) {
        table.enter(fd, 100)
        if (step === 'claim') table.pass(fd, LEFT)
        else table.park(fd, LEFT)
      }
      const gate = new Int32Array(new SharedArrayBuffer(4))
      const wins = new Int32Array(new SharedArrayBuffer(4 * rows))
      const workers = Array.from(
        { length: threads },
        (_, i) =>
          new Worker(new URL('./fixtures/stampede.mjs', import.meta.url), {
            workerData: { shared: table.share(), step, owner: i + 1, threads, gate, wins },
          }),
      )
      onTestFinished(async () => void (await Promise.all(workers.map((worker) => worker.terminate()))))
      await Promise.all(workers.map((worker) => new Promise((resolve) => worker.on('exit', resolve))))
      expect(wins.every((count) => count === 1)).toBe(true)
    },
  )
})
