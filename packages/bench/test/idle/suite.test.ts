import { describe, expect, it } from 'vitest'
import { gapsOf } from '../../dist/idle/measure.js'
import { idle } from '../../dist/idle/suite.js'
import type { ModelEntry } from '../../dist/servers.js'

const trigger = { name: 'trigger', choices: ['level', 'edge'] }

function model(name: string, more: Partial<ModelEntry> = {}): ModelEntry {
  return { name, runs: true, options: [], ...more }
}

const all = [model('select'), model('poll'), model('epoll', { options: [trigger] }), model('kqueue'), model('reactor')]

function settingsOf(command: readonly string[]): readonly string[] {
  return command.filter((_, at) => command[at - 1] === '--set')
}

describe('the servers of the suite idle', () => {
  it('are node:http and the demultiplexers, epoll twice, and never close an idle connection', () => {
    const { servers, skipped } = idle.select(all, undefined)
    const names = ['node:http', 'select', 'poll', 'epoll level', 'epoll edge', 'kqueue']
    expect(servers.map((server) => server.name)).toEqual(names)
    expect(skipped).toEqual([])
    const settings = servers.map((server) => settingsOf(server.command).join(' '))
    expect(settings).toEqual([
      '',
      'idleTimeout=0',
      'idleTimeout=0',
      'idleTimeout=0 trigger=level',
      'idleTimeout=0 trigger=edge',
      'idleTimeout=0',
    ])
    expect(servers[0]?.command.slice(-2)).toEqual(['--keep-alive-timeout', '0'])
  })

  it('are left out with a reason where a model or an option is missing', () => {
    const { servers, skipped } = idle.select(
      [model('epoll'), model('kqueue', { runs: false, reason: 'no kqueue here' })],
      undefined,
    )
    expect(servers.map((server) => server.name)).toEqual(['node:http', 'epoll level'])
    expect(settingsOf(servers[1]?.command ?? [])).toEqual(['idleTimeout=0'])
    expect(skipped).toEqual([
      { server: 'select', reason: 'there is no model select' },
      { server: 'poll', reason: 'there is no model poll' },
      { server: 'epoll edge', reason: 'epoll has no option trigger=edge' },
      { server: 'kqueue', reason: 'no kqueue here' },
    ])
  })

  it('are those of the models that are asked for', () => {
    expect(idle.select(all, ['epoll']).servers.map((server) => server.name)).toEqual([
      'node:http',
      'epoll level',
      'epoll edge',
    ])
    expect(() => idle.select(all, ['reactor'])).toThrow("the suite idle has no 'reactor'; it has: select, poll")
  })

  it('hold as many connections as select can watch descriptors', () => {
    const { servers } = idle.select(all, ['select', 'poll'])
    const gaps = gapsOf({ servers, idle: [0, 900, 901, 8000], connections: 64 })
    expect(gaps.map((gap) => [gap.server, gap.idle])).toEqual([
      ['select', 901],
      ['select', 8000],
    ])
    expect(gaps[0]?.reason).toContain('FD_SETSIZE')
  })
})
