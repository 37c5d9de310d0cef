import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { findSuites, suites } from '../dist/suites.js'

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))

describe('the names of suites', () => {
  it('give the first suite where there are none', () => {
    expect(findSuites([]).map((suite) => suite.name)).toEqual(['throughput'])
  })

  it('give each suite once, in the order of the names', () => {
    expect(findSuites(['idle', 'throughput', 'idle']).map((suite) => suite.name)).toEqual(['idle', 'throughput'])
  })

  it('are all listed when one is unknown', () => {
    expect(() => findSuites(['idle', 'toString'])).toThrow(
      "there is no suite 'toString'; there are: throughput, idle, processes, threads, patterns, modern, soak",
    )
  })

  it('are in kebab-case and say on one line what is measured', () => {
    for (const { name, description } of suites) {
      expect(name).toMatch(/^[a-z]+(?:-[a-z]+)*$/)
      expect(description).toMatch(/^.{10,110}$/)
    }
  })
})

describe('the command', () => {
  it('lists the suites with --help', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [main, '--help'])
    for (const { name, description } of suites) expect(stdout).toMatch(new RegExp(`^ *${name} +${description}$`, 'm'))
  })

  it.each([
    [
      ['reverse'],
      "there is no suite 'reverse'; there are: throughput, idle, processes, threads, patterns, modern, soak",
    ],
    [['--idle', '0,100'], '--idle is for the suite idle'],
    [['idle', '--idle', '0,many'], '--idle must be whole numbers with commas between, not 0,many'],
    [['idle', '--idle', ''], '--idle must be whole numbers with commas between, not '],
    [['idle', '--models', 'thread-pool'], "the suite idle has no 'thread-pool'; it has: select, poll, epoll, kqueue"],
    [['--rounds', '0'], '--rounds must be a whole number above 0, not 0'],
    [['--suite', 'idle'], '--suite is unknown; --help lists the arguments'],
  ])('refuses %j', async (given, message) => {
    const refused = promisify(execFile)(process.execPath, [main, ...given])
    await expect(refused).rejects.toMatchObject({ code: 1, stdout: '', stderr: `${message}\n` })
  })
})
