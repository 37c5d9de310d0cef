import { expect, test } from 'vitest'
import { measureTasks, tableOfTasks } from '../../dist/modern/tasks.js'

test('measures each kind of task, and gives a line for each', async () => {
  const figures = await measureTasks({ count: 1000, switches: 100, depth: 10, rounds: 1 })
  expect(figures.map(({ kind }) => kind)).toEqual(['async function', 'coroutine', 'fiber'])
  for (const { creation, switching, deepSwitching } of figures) {
    for (const figure of [creation, switching, deepSwitching]) expect(figure).toBeGreaterThan(0)
  }
  const [headings, ...lines] = tableOfTasks(figures)
  expect(lines.map((line) => line.length)).toEqual(Array(3).fill(headings.length))
})

test('counts the memory of those that wait', async () => {
  const figures = await measureTasks({ count: 50_000, switches: 10, depth: 1, rounds: 1 })
  for (const { bytes } of figures) expect(bytes).toBeGreaterThan(50)
})
