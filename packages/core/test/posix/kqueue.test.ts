import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  EV_ADD,
  EV_CLEAR,
  EV_ERROR,
  EVFILT_PROC,
  EVFILT_READ,
  EVFILT_TIMER,
  EVFILT_USER,
  EVFILT_VNODE,
  EVFILT_WRITE,
  KeventList,
  keventTables,
  libkqueue,
  NOTE_ABSTIME,
  NOTE_EXIT,
  NOTE_MSECONDS,
  NOTE_NSECONDS,
  NOTE_SECONDS,
  NOTE_USECONDS,
  systemKqueue,
} from '@cs/core/posix'
import { describe, expect, it, onTestFinished } from 'vitest'
import { run } from './support.js'

const names = ['freebsd', 'darwin', 'libkqueue', 'emulated'] as const
const sizes = { freebsd: 64, darwin: 32, libkqueue: 32, emulated: 32 }

/** The bytes of entry 1 of 2, after the class wrote there. */
function written(
  name: (typeof names)[number],
  ...fields: Parameters<KeventList['set']> extends [number, ...infer R] ? R : never
) {
  const list = new KeventList(2, keventTables[name])
  list.set(1, ...fields)
  const { buffer } = list.words
  expect(buffer.byteLength).toBe(2 * sizes[name])
  expect(new Uint8Array(buffer, 0, sizes[name]).every((byte) => byte === 0)).toBe(true)
  return { list, view: new DataView(buffer, sizes[name]) }
}

describe.each(names)('struct kevent of %s', (name) => {
  it('has every field where its header has it', () => {
    const { view } = written(name, 0x1_0203_0405, EVFILT_VNODE, 0x8021, 0x80000006, -5, 0x6_0000_0007)
    expect(view.getBigUint64(0, true)).toBe(0x1_0203_0405n)
    expect(view.getInt16(8, true)).toBe(-4)
    expect(view.getUint16(10, true)).toBe(0x8021)
    expect(view.getUint32(12, true)).toBe(0x80000006)
    expect(view.getBigInt64(16, true)).toBe(-5n)
    expect(view.getBigUint64(24, true)).toBe(0x6_0000_0007n)
    for (let i = 32; i < sizes[name]; i++) expect(view.getUint8(i)).toBe(0) // ext[4]
  })

  it('reads back what the kernel would write', () => {
    const list = new KeventList(2, keventTables[name])
    const view = new DataView(list.words.buffer, sizes[name])
    view.setBigUint64(0, 2n ** 40n + 3n, true)
    view.setInt16(8, -2, true)
    view.setUint16(10, EV_ERROR | EV_CLEAR, true)
    view.setUint32(12, 0xc0000001, true)
    view.setBigInt64(16, -(2n ** 33n), true)
    view.setBigUint64(24, 2n ** 32n, true)
    expect([list.ident(1), list.filter(1), list.flags(1)]).toEqual([2 ** 40 + 3, EVFILT_WRITE, EV_ERROR | EV_CLEAR])
    expect([list.fflags(1), list.data(1), list.udata(1)]).toEqual([0xc0000001, -(2 ** 33), 2 ** 32])
  })

  it('has the numbers of its header, and tells our own', () => {
    const user = { freebsd: -11, darwin: -10, libkqueue: -11, emulated: -11 }[name]
    const { list, view } = written(name, 1, EVFILT_USER, EV_ADD)
    expect([view.getInt16(8, true), list.filter(1)]).toEqual([user, EVFILT_USER])

    const bsd = { seconds: 1, ms: 2, us: 4, ns: 8, absolute: 16 }
    const mac = { seconds: 1, ms: 0, us: 2, ns: 4, absolute: 8 }
    const units = { freebsd: bsd, emulated: bsd, darwin: mac, libkqueue: mac }[name]
    const told = (notes: number) => written(name, 1, EVFILT_TIMER, EV_ADD, notes).view.getUint32(12, true)
    expect([NOTE_SECONDS, NOTE_MSECONDS, NOTE_USECONDS, NOTE_NSECONDS].map(told)).toEqual([
      units.seconds,
      units.ms,
      units.us,
      units.ns,
    ])
    expect(told(NOTE_SECONDS | NOTE_ABSTIME)).toBe(units.seconds | units.absolute)
    expect(told(0)).toBe(0)
    expect(written(name, 1, EVFILT_TIMER, EV_ADD, NOTE_NSECONDS | NOTE_ABSTIME).list.fflags(1)).toBe(
      NOTE_NSECONDS | NOTE_ABSTIME,
    )

    const status = name === 'darwin' || name === 'libkqueue' ? 0x04000000 : 0 // NOTE_EXITSTATUS
    expect(written(name, 1, EVFILT_PROC, EV_ADD, NOTE_EXIT).view.getUint32(12, true)).toBe((0x80000000 | status) >>> 0)
  })
})

describe('a list of kevents', () => {
  it('refuses an entry that is not its own', () => {
    const list = new KeventList(2, keventTables.emulated)
    for (const i of [2, -1, 0.5, Number.NaN]) expect(() => list.set(i, 1, EVFILT_READ, EV_ADD)).toThrow(RangeError)
    expect(() => new KeventList(0, keventTables.emulated)).toThrow(RangeError)
    expect(() => systemKqueue.kevent(0, list, 3, list, 1, 0)).toThrow(RangeError)
    expect(() => systemKqueue.kevent(0, list, 0, list, -1, 0)).toThrow(RangeError)
  })

  it('measures what is ready only when it is asked for', () => {
    const asked: number[] = []
    const list = new KeventList(2, keventTables.emulated, (ident) => asked.push(ident) + 40)
    list.set(0, 7, EVFILT_READ, 0)
    list.set(1, 8, EVFILT_READ, EV_ERROR, 0, 9)
    expect([list.ident(0), list.filter(0), asked.length]).toEqual([7, EVFILT_READ, 0])
    expect([list.data(0), list.data(1), asked]).toEqual([41, 9, [7]])
  })
})

describe.runIf(process.platform === 'linux')('kqueue on Linux', () => {
  it('is not in the C library', () => {
    expect(() => systemKqueue.kqueue()).toThrow(expect.objectContaining({ code: 'ERR_CS_UNSUPPORTED' }))
  })

  it('is in libkqueue or nowhere, and looking for all functions does not load that', () => {
    const source = `
      import { readFileSync } from 'node:fs'
      import { bindAll, libkqueue } from '@cs/core/posix'
      bindAll()
      const loaded = readFileSync('/proc/self/maps', 'latin1').includes('libkqueue')
      let told = 'works'
      try { libkqueue.kqueue() } catch (error) { told = error.missing }
      console.log(JSON.stringify({ loaded, told }))`
    const { loaded, told } = run(source) as { loaded: boolean; told: string }
    expect(loaded).toBe(false)
    expect(['works', 'libkqueue.so.0']).toContain(told)
    expect(libkqueue.table).toBe(keventTables.libkqueue)
  })

  it('is called in libkqueue.so.0 with the structures that a C compiler lays out', (context) => {
    const hasCompiler = spawnSync('cc', ['--version']).status === 0
    context.skip(!hasCompiler, 'no C compiler is installed')
    const folder = mkdtempSync(join(tmpdir(), 'cs-kqueue-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const source = fileURLToPath(new URL('fixtures/kevent-echo.c', import.meta.url))
    execFileSync('cc', ['-shared', '-fPIC', '-o', join(folder, 'libkqueue.so.0'), source])
    const program = `
      import { KeventList, libkqueue, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, close } from '@cs/core/posix'
      const kq = libkqueue.kqueue()
      const changes = new KeventList(3, libkqueue.table), events = new KeventList(3, libkqueue.table)
      changes.set(0, 2 ** 34 + 1, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, -7, 99)
      changes.set(1, 12, -1, EV_ADD)
      const n = libkqueue.kevent(kq, changes, 2, events, 3, 1234)
      const told = Array.from({ length: n }, (_, i) => [events.ident(i), events.filter(i), events.flags(i), events.fflags(i), events.data(i), events.udata(i)])
      const none = libkqueue.kevent(kq, changes, 0, events, 3, -1)
      const failed = libkqueue.kevent(-1, changes, 0, events, 3, 0)
      close(kq)
      console.log(JSON.stringify({ told, none, failed }))`
    const cwd = fileURLToPath(new URL('../..', import.meta.url))
    const env = { ...process.env, LD_LIBRARY_PATH: folder }
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      cwd,
      env,
      encoding: 'utf8',
    })
    expect(JSON.parse(printed)).toEqual({
      told: [
        [2 ** 34 + 1, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, -7, 99],
        [12, EVFILT_READ, EV_ADD, 0, 0, 0],
        [1, EVFILT_USER, 0, 0, 234_000_000, 0], // the timeout: 1 s and so many ns
      ],
      none: 0,
      failed: -9,
    })
  })
})
