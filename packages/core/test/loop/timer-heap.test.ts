import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Timer, TimerHeap } from '../../dist/loop/index.js'

const call = (callback: () => void): void => callback()
const ALL = Number.POSITIVE_INFINITY

describe('a heap of timers', () => {
  it('runs what is due, the earliest first, and of equals the first that was set', () => {
    const heap = new TimerHeap()
    const order: string[] = []
    for (const [due, name] of [
      [30, 'c'],
      [10, 'a1'],
      [20, 'b'],
      [10, 'a2'],
      [40, 'd'],
    ] as const) {
      heap.set(due, 0, () => order.push(name))
    }
    expect([heap.next, heap.run(30, ALL, call), order, heap.next]).toEqual([10, 4, ['a1', 'a2', 'b', 'c'], 40])
  })

  it('runs as many as it may, and the rest later', () => {
    const heap = new TimerHeap()
    const order: number[] = []
    for (let i = 0; i < 5; i++) heap.set(i, 0, () => order.push(i))
    expect([heap.run(9, 2, call), [...order], heap.run(9, 9, call), order]).toEqual([2, [0, 1], 3, [0, 1, 2, 3, 4]])
  })

  it('does not run in the same go what is set meanwhile', () => {
    const heap = new TimerHeap()
    let runs = 0
    const again = (): void => {
      runs++
      heap.set(5, 0, again)
    }
    heap.set(5, 0, again)
    expect([heap.run(5, ALL, call), runs, heap.run(5, ALL, call), runs]).toEqual([1, 1, 1, 2])
  })

  it('repeats on its beat, and makes up for no beat that was missed', () => {
    const heap = new TimerHeap()
    let beats = 0
    const timer = heap.set(10, 5, () => beats++)
    heap.run(10, ALL, call)
    expect([beats, heap.next]).toEqual([1, 15])
    heap.run(27, ALL, call)
    expect([beats, heap.next, timer.active]).toEqual([2, 30, true])
    expect([heap.cancel(timer), heap.cancel(timer), heap.size, timer.active]).toEqual([true, false, 0, false])
  })

  it('lets a timer cancel itself and others while it runs', () => {
    const heap = new TimerHeap()
    let runs = 0
    const beat = heap.set(1, 1, () => {
      runs++
      heap.cancel(beat)
      heap.cancel(other)
    })
    const other: Timer = heap.set(2, 0, () => runs++)
    expect([heap.run(9, ALL, call), runs, heap.size]).toEqual([1, 1, 0])
  })

  it('agrees with a sorted list, whatever is set, cancelled and run', () => {
    const operation = fc.oneof(
      fc.record({ set: fc.nat(50) }),
      fc.record({ cancel: fc.nat(100) }),
      fc.record({ run: fc.nat(60) }),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const heap = new TimerHeap()
        const ran: number[] = []
        const expected: number[] = []
        const timers: Timer[] = []
        let list: { due: number; order: number }[] = []
        for (const step of operations) {
          if ('set' in step) {
            const order = timers.length
            list.push({ due: step.set, order })
            timers.push(heap.set(step.set, 0, () => ran.push(order)))
          } else if ('cancel' in step && timers.length > 0) {
            const order = step.cancel % timers.length
            expect(heap.cancel(timers[order])).toBe(list.some((each) => each.order === order))
            list = list.filter((each) => each.order !== order)
          } else if ('run' in step) {
            heap.run(step.run, ALL, call)
            const due = list.filter((each) => each.due <= step.run)
            expected.push(...due.toSorted((a, b) => a.due - b.due || a.order - b.order).map(({ order }) => order))
            list = list.filter((each) => each.due > step.run)
          }
        }
        expect([ran, heap.size]).toEqual([expected, list.length])
      }),
    )
  })
})
