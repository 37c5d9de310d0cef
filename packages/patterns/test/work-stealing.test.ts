import { availableParallelism } from 'node:os'
import { Worker as Thread } from 'node:worker_threads'
import { dehydrate } from '@cs/core/sync'
import { spawn, TaskError, workStealing } from '@cs/patterns/work-stealing'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { createCrew, dismissOne, Injector, statisticsOf, Thief } from '../dist/work-stealing/index.js'
import { TaskTable } from '../dist/work-stealing/task-table.js'

const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString())

describe('the table of tasks', () => {
  let table: TaskTable
  afterEach(() => table.dispose())

  it('brings a task to its runner, and what came of it back to its spawner', () => {
    table = TaskTable.create(3, 4)
    const [row] = table.freeOf(1)
    table.queue(row, Buffer.from('question'))
    expect([text(table.begin(row, 2)), table.hasEnded(1)]).toEqual(['question', false])
    expect(table.end(row, Buffer.from('answer'))).toBe(1)
    expect([table.hasEnded(1), table.hasEnded(2)]).toEqual([true, false])
    expect([...table.ended(1)].map(([ended, result]) => [ended, text(result)])).toEqual([[row, 'answer']])
    expect(table.freeOf(1)).toHaveLength(4)
  })

  it('gives each spawner rows of its own', () => {
    table = TaskTable.create(3, 4)
    expect([0, 1, 2].flatMap((spawner) => table.freeOf(spawner))).toEqual(Array.from({ length: 12 }, (_, i) => i))
  })

  it('gives back what a dead runner had begun, and nothing else', () => {
    table = TaskTable.create(2, 4)
    const [first, second, third] = table.freeOf(0)
    for (const row of [first, second, third]) table.queue(row, Buffer.from('question'))
    table.begin(first, 1)
    table.begin(second, 0)
    expect([...table.abandon(1)]).toEqual([0])
    expect([...table.ended(0)]).toEqual([[first, undefined]])
    expect([...table.abandon(1)]).toEqual([])
    expect(text(table.begin(third, 1))).toBe('question')
  })

  it('keeps from the successor of a dead spawner the rows that are under way, until they have ended', () => {
    table = TaskTable.create(1, 2)
    const [first, second] = table.freeOf(0)
    table.queue(first, Buffer.from('question'))
    expect(table.freeOf(0)).toEqual([second])
    table.begin(first, 0)
    table.end(first, Buffer.from('answer'))
    expect(table.freeOf(0)).toEqual([second])
    expect([...table.ended(0)]).toHaveLength(1)
    expect(table.freeOf(0)).toEqual([first, second])
  })

  it('brings all back when many runners end tasks of one spawner at once', async () => {
    table = TaskTable.create(2, 1000)
    const rows = table.freeOf(1)
    for (const row of rows) table.queue(row, Buffer.from(String(row)))
    const source = new URL('fixtures/runner.mjs', import.meta.url)
    const runners = [0, 1, 2].map(
      (part) => new Thread(source, { workerData: dehydrate({ table, rows: rows.filter((row) => row % 3 === part) }) }),
    )
    const ended = Promise.all(runners.map((runner) => new Promise((resolve) => runner.on('exit', resolve))))
    const back: number[] = []
    while (back.length < rows.length) {
      for (const [row, result] of table.ended(1)) {
        expect(text(result)).toBe(`${row} done`)
        back.push(row)
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await ended
    expect(back.sort((a, b) => a - b)).toEqual(rows)
  })
})

describe('the crew', () => {
  it('calls a worker for what is injected, and no second one while the first searches', () => {
    const crew = createCrew(8)
    const injector = new Injector(crew)
    for (const index of [0, 1]) crew.idle.worker(index).lieDown()
    injector.putMany(Int32Array.of(5, 6, 7), 2)
    injector.putMany(Int32Array.of(7), 1)
    expect([crew.idle.sleeping, crew.idle.searching, crew.injection.size]).toEqual([1, 1, 3])
    dismissOne(crew)
    expect([crew.idle.sleeping, Atomics.load(crew.dismissals, 0)]).toEqual([0, 1])
  })

  it('has thieves take the oldest of another, and counts for both', () => {
    const crew = createCrew(8)
    for (const index of [0, 1]) crew.idle.worker(index)
    const [mine, theirs] = crew.connections.map((deque) => deque.worker())
    const thief = new Thief(crew, 0)
    mine.push(1)
    for (const fd of [7, 8]) theirs.push(fd)
    expect([thief.steal(crew.connections), thief.steal(crew.connections)]).toEqual([7, 8])
    expect([thief.steal(crew.connections), thief.sees(crew.connections), thief.sees(crew.tasks)]).toEqual(
      ['empty', true, false], // it does not steal from itself
    )
    expect(statisticsOf(crew).workers).toMatchObject([
      { connections: 1, steals: 2, stolen: 0 },
      { connections: 0, steals: 0, stolen: 2 },
    ])
  })
})

it('spawn says what it needs where there are no workers', () => {
  expect(() => spawn('work')).toThrow(TaskError)
  expect(() => spawn('work')).toThrow("spawn('work') needs the workers of the model work-stealing")
})

it('has as many workers as there are processors, unless told otherwise', () => {
  expect(workStealing.options.threads).toMatchObject({ default: availableParallelism() })
})

it('grows and shrinks while it serves, down to one worker, and loses no task', async (context) => {
  context.skip(workStealing.missing() !== undefined, workStealing.missing())
  const server = await workStealing.serve({ app: new URL('fixtures/spawns.mjs', import.meta.url), threads: 2 })
  onTestFinished(() => server.close())
  const workers = () => server.stats().units.filter(({ role }) => role === 'worker')
  const sum = async () => (await fetch(server.url, { headers: { connection: 'close' } })).json()
  expect([server.grow(), server.grow()]).toEqual([3, 4])
  const [before] = await Promise.all([sum(), until(() => workers().every(({ state }) => state === 'ready'))])
  expect([before, workers().length]).toEqual([499_500, 4])
  const meanwhile = sum()
  expect([server.shrink(), server.shrink(), server.shrink(), server.shrink()]).toEqual([3, 2, 1, 1])
  await until(() => workers().length === 1)
  expect([await meanwhile, await sum()]).toEqual([499_500, 499_500])
  expect(server.stats()).toMatchObject({ restarts: 0, parts: { threads: { count: 1 }, injection: { depth: 0 } } })
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
}
