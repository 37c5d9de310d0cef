import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { COUNTERS } from '@cs/core/connection'
import { Control, ENDED, READY, STARTING, STAY } from '@cs/core/host'
import { describe, expect, it, onTestFinished } from 'vitest'

/** Plays a unit: says who it is, counts, and waits for nothing. */
const UNIT = `
  const unit = control.unit(2)
  unit.identify(11, 22)
  unit.counters[2] = 1e15 + 1
  unit.state = 1
  if (!control.stopping) throw new Error('it does not see the stop')`

describe('the control block', () => {
  it('starts with all units starting and nothing counted', () => {
    const control = Control.create(3, false)
    expect(control.stopping).toBe(false)
    for (let i = 0; i < 3; i++) {
      const unit = control.unit(i)
      expect([unit.state, unit.pid, unit.tid, unit.order]).toEqual([STARTING, 0, 0, STAY])
      expect(Object.values(unit.counts()).every((count) => count === 0)).toBe(true)
    }
  })

  it.each([1, 2, 3, 8])('keeps the cells of %d units apart', (units) => {
    const control = Control.create(units, false)
    for (let i = 0; i < units; i++) {
      control.unit(i).identify(i + 1, i + 100)
      control.unit(i).counters.fill(i + 1)
      control.unit(i).state = ENDED
      control.unit(i).order = i % 3
      control.unit(i).pulse[0] = i + 1000
    }
    control.phase = 2
    for (let i = 0; i < units; i++) {
      const { pid, tid, state, order, pulse } = control.unit(i)
      expect({ pid, tid, state, order }).toEqual({ pid: i + 1, tid: i + 100, state: ENDED, order: i % 3 })
      expect([...pulse]).toEqual([i + 1000])
      expect(Object.values(control.unit(i).counts())).toEqual(Array(COUNTERS).fill(i + 1))
    }
  })

  it.each([1, 2, 3, 8])(
    'keeps the cells of %d children apart from those of the units, and clears a unit alone',
    (children) => {
      const control = Control.create(2, false, children)
      const { crowded, states, counters } = control.children
      expect([crowded.length, states.length, counters.length]).toEqual([1, children, children * COUNTERS])
      crowded.fill(1)
      states.fill(2)
      counters.fill(3)
      for (let i = 0; i < 2; i++)
        expect(Object.values(control.unit(i).counts()).every((count) => count === 0)).toBe(true)
      expect(control.phase).toBe(0)
      control.unit(1).identify(1, 2)
      control.unit(1).counters.fill(4)
      control.unit(1).clear()
      expect([control.unit(1).pid, control.unit(1).counts().requests]).toEqual([0, 0])
      expect([...crowded, ...states, ...counters]).toEqual([
        1,
        ...Array(children).fill(2),
        ...Array(children * COUNTERS).fill(3),
      ])
    },
  )

  it('is one for all threads', async () => {
    const control = Control.create(3, false)
    control.phase = 1
    const worker = new Worker(
      `import('@cs/core/host').then(({ Control }) => { const control = Control.open(require('node:worker_threads').workerData); ${UNIT} })`,
      { eval: true, workerData: control.handle },
    )
    await new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve))
    const unit = control.unit(2)
    expect([unit.state, unit.pid, unit.tid, unit.counts().requests]).toEqual([READY, 11, 22, 1e15 + 1])
  })

  it('is one for all processes', () => {
    const control = Control.create(3, true)
    onTestFinished(() => control.close())
    control.phase = 1
    const source = `
      import { Control } from '@cs/core/host'
      const control = Control.open({ units: 3, children: 0, fd: 3 })
      ${UNIT}`
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      stdio: ['ignore', 'inherit', 'inherit', control.handle.fd!],
    })
    expect(child.status).toBe(0)
    const unit = control.unit(2)
    expect([unit.state, unit.pid, unit.tid, unit.counts().requests]).toEqual([READY, 11, 22, 1e15 + 1])
  })
})
