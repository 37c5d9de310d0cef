import { describe, expect, it } from 'vitest'
import { type Measurement, scenariosFor } from '../dist/measure.js'
import { median, type Report, renderMarkdown, renderText, summarise } from '../dist/report.js'

describe('the median', () => {
  it.each([
    [[3], 3],
    [[9, 1, 5], 5],
    [[4, 1, 3, 2], 2.5],
    [[10, 9, 1], 9],
  ])('of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected)
  })

  it('of nothing is no number', () => {
    expect(median([])).toBeNaN()
  })

  it('leaves the values as they are', () => {
    const values = [3, 1, 2]
    median(values)
    expect(values).toEqual([3, 1, 2])
  })
})

const environment = {
  date: '2000-01-01T00:00:00.000Z',
  command: 'npm run bench -- --models epoll',
  node: '20.0.0',
  cpu: 'a processor',
  cpus: 2,
  kernel: 'Linux 6',
  load: 'wrk',
  rounds: 3,
  seconds: 5,
}

function measured(server: string, round: number, requests: number, cpuMicroseconds: number): Measurement {
  const latency = { p50Ms: round, p99Ms: round * 10 }
  return { server, scenario: 'keep-alive', round, requests, seconds: 2, cpuMicroseconds, errors: 1, ...latency }
}

function reportOf(): Report {
  const measurements = [
    measured('node:http', 1, 1000, 20_000),
    measured('epoll', 1, 1000, 9000),
    measured('node:http', 2, 1000, 22_000),
    measured('epoll', 2, 2000, 20_000),
    measured('node:http', 3, 1000, 10_000),
    measured('epoll', 3, 1000, 30_000),
  ]
  const failures = [{ server: 'select', round: 2, message: 'select did not start' }]
  return summarise(environment, scenariosFor(64), { measurements, failures })
}

describe('the report', () => {
  it('has the medians of the rounds and the ratio to node:http', () => {
    expect(reportOf().scenarios[0]?.rows).toEqual([
      {
        server: 'node:http',
        rounds: 3,
        requestsPerSecond: 500,
        cpuMicrosecondsPerRequest: 20,
        cpuMicrosecondsPerRequestRange: [10, 22],
        p50Ms: 2,
        p99Ms: 20,
        errors: 3,
        cpuRatio: 1,
      },
      {
        server: 'epoll',
        rounds: 3,
        requestsPerSecond: 500,
        cpuMicrosecondsPerRequest: 10,
        cpuMicrosecondsPerRequestRange: [9, 30],
        p50Ms: 2,
        p99Ms: 20,
        errors: 3,
        cpuRatio: 0.5,
      },
    ])
  })

  it('has a table without rows for a scenario that was not measured', () => {
    expect(reportOf().scenarios[1]?.rows).toEqual([])
  })

  it('says where, how and with what it was made, and what failed', () => {
    for (const text of [renderText(reportOf()), renderMarkdown(reportOf())]) {
      for (const word of ['20.0.0', 'a processor', 'Linux 6', 'wrk', '3 interleaved rounds of 5 s', '--models epoll']) {
        expect(text).toContain(word)
      }
      expect(text).toContain('select, round 2: select did not start')
    }
  })

  it('aligns its columns in a terminal', () => {
    const lines = renderText(reportOf()).split('\n')
    const table = lines.filter((line) => /^(server|node:http|epoll) /.test(line)).slice(0, 3)
    expect(new Set(table.map((line) => line.length)).size).toBe(1)
  })
})
