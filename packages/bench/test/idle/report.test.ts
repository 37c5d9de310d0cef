import { describe, expect, it } from 'vitest'
import type { IdleMeasurement, MemoryMeasurement } from '../../dist/idle/measure.js'
import { plotIdle } from '../../dist/idle/plot.js'
import { type IdleReport, renderIdleMarkdown, renderIdleText, summariseIdle } from '../../dist/idle/report.js'

const environment = {
  date: '2000-01-01T00:00:00.000Z',
  command: 'npm run bench -- idle',
  node: '20.0.0',
  cpu: 'a processor',
  cpus: 2,
  kernel: 'Linux 6',
  load: 'wrk',
  rounds: 3,
  seconds: 5,
}

function measured(server: string, round: number, idle: number, cpuMicroseconds: number): IdleMeasurement {
  const load = { requests: 1000, seconds: 2, p50Ms: 1, p99Ms: 2, errors: 0 }
  return { server, round, idle, ...load, cpuMicroseconds, memoryBytes: 30e6 + idle * 1000 * round }
}

function memory(server: string, round: number, idle: number, bytesPerConnection: number): MemoryMeasurement {
  return { server, round, idle, bytesWithout: 20e6, bytesWith: 20e6 + idle * bytesPerConnection }
}

function reportOf(): IdleReport {
  const results = {
    measurements: [1, 2, 3].flatMap((round) => [
      measured('node:http', round, 0, 13_000 + round * 1000),
      measured('node:http', round, 2000, 17_000),
      measured('select', round, 0, 9000),
    ]),
    memory: [
      memory('node:http', 1, 2000, 9000),
      memory('node:http', 2, 2000, 11_000),
      memory('node:http', 3, 2000, 10_000),
    ],
    gaps: [{ server: 'select', idle: 2000, reason: 'it is full' }],
    failures: [{ server: 'poll', round: 2, message: 'poll did not start' }],
  }
  const servers = [{ name: 'node:http' }, { name: 'select' }, { name: 'poll' }]
  const skipped = [{ server: 'kqueue', reason: 'there is no model kqueue' }]
  const request = { environment, servers, connections: 64, idle: [0, 2000], leftOut: [50_000], skipped }
  return summariseIdle(request, results)
}

/** The cells of the lines that begin with a server, table by table. */
function rowsOf(text: string, server: string): readonly (readonly string[])[] {
  const lines = text.split('\n').filter((line) => line.replace(/^\| /, '').startsWith(`${server} `))
  return lines.map((line) => line.replace(/^\| | \|$/g, '').split(/ {2,}| \| /))
}

describe('the report on idle connections', () => {
  it('has the medians of the rounds for each count that was measured', () => {
    const [http, select, poll] = reportOf().rows
    expect(http?.cells).toMatchObject([
      {
        idle: 0,
        rounds: 3,
        cpuMicrosecondsPerRequest: 15,
        cpuMicrosecondsPerRequestRange: [14, 16],
        requestsPerSecond: 500,
      },
      { idle: 2000, rounds: 3, cpuMicrosecondsPerRequest: 17 },
    ])
    expect(http?.memory).toEqual({
      idle: 2000,
      rounds: 3,
      bytesPerConnection: 10_000,
      bytesPerConnectionRange: [9000, 11_000],
      bytesPerConnectionAsItRuns: 2000,
    })
    expect(select?.cells.map((cell) => cell.idle)).toEqual([0])
    expect(select?.memory).toBeUndefined()
    expect(poll?.cells).toEqual([])
  })

  it.each([
    ['text', renderIdleText],
    ['Markdown', renderIdleMarkdown],
  ])('as %s has a row for each server, and footnotes for empty cells', (_, render) => {
    const text = render(reportOf())
    expect(rowsOf(text, 'node:http')).toEqual([
      ['node:http', '15.00', '17.00'],
      ['node:http', '500', '500'],
      ['node:http', '10.00', '9.00 to 11.00', '2.00', '2,000'],
    ])
    expect(rowsOf(text, 'select').slice(0, 2)).toEqual([
      ['select', '9.00', '–¹'],
      ['select', '500', '–¹'],
    ])
    expect(rowsOf(text, 'poll')[0]).toEqual(['poll', '–', '–'])
    expect(text).toContain('¹ select: it is full')
    expect(text).toContain('left out: 50,000 idle connections: the limit of open files is too low')
    expect(text).toContain('skipped: kqueue: there is no model kqueue')
    expect(text).toContain('poll, round 2: poll did not start')
  })

  it('aligns its columns in a terminal', () => {
    const lines = renderIdleText(reportOf()).split('\n')
    const start = lines.findIndex((line) => line.startsWith('idle connections'))
    const ends = lines.slice(start, start + 2).map((line) => line.length)
    expect(new Set(ends).size).toBe(1)
  })
})

describe('the plot', () => {
  it('has a line and a legend entry for each server that was measured, and units', async () => {
    const svg = await plotIdle(reportOf())
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
    expect(svg.match(/class="mark-line role-mark/g)).toHaveLength(2)
    for (const name of ['node:http', 'select']) expect(svg).toContain(`>${name}</text>`)
    expect(svg).not.toContain('>poll</text>')
    expect(svg).toContain('>CPU time per request (µs)</text>')
    expect(svg).toContain('>idle keep-alive connections</text>')
  })

  it('can be drawn of nothing', async () => {
    await expect(plotIdle({ ...reportOf(), rows: [] })).resolves.toContain('<svg')
  })
})
