import { appendFileSync, closeSync, mkdtempSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  bytesToRead,
  bytesToSend,
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  EAGAIN,
  EINVAL,
  ENOENT,
  ENOTTY,
  ESRCH,
  getSendBuffer,
  IN_ATTRIB,
  IN_CREATE,
  IN_IGNORED,
  IN_MODIFY,
  IN_MOVE_SELF,
  inotify_add_watch,
  inotify_init1,
  inotify_rm_watch,
  openNull,
  POLLIN,
  pidfd_open,
  pipe2,
  pollOne,
  readInotify,
  socketpair,
  timerfd_create,
  timerfd_settime,
  timerfdExpirations,
  write,
} from '@cs/core/posix'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { bytes, closeAll, connected, keep, run } from './support.js'

afterEach(closeAll)

const onLinux = process.platform === 'linux'

describe.runIf(onLinux)('a timerfd', () => {
  it('expires once, and is silent again', () => {
    const fd = keep(timerfd_create(CLOCK_MONOTONIC))
    expect(timerfdExpirations(fd)).toBe(-EAGAIN)
    expect(timerfd_settime(fd, { first: 1e6 })).toBe(0)
    expect(pollOne(fd, POLLIN, -1)).toBe(POLLIN)
    expect([timerfdExpirations(fd), timerfdExpirations(fd)]).toEqual([1, -EAGAIN])
  })

  it('expires at each interval, and counts', () => {
    const fd = keep(timerfd_create(CLOCK_MONOTONIC))
    timerfd_settime(fd, { first: 1, interval: 1e5 })
    let count = 0
    while (count < 5) if (pollOne(fd, POLLIN, -1) === POLLIN) count += timerfdExpirations(fd)
    timerfd_settime(fd, { first: 0 })
    expect([pollOne(fd, POLLIN, 2), timerfdExpirations(fd)]).toEqual([0, -EAGAIN])
  })

  it('takes a time of the wall clock, one that is past at once', () => {
    const fd = keep(timerfd_create(CLOCK_REALTIME))
    timerfd_settime(fd, { first: (Date.now() + 3_600_000) * 1e6, absolute: true })
    expect(pollOne(fd, POLLIN, 2)).toBe(0)
    timerfd_settime(fd, { first: (Date.now() - 1) * 1e6, absolute: true })
    expect(pollOne(fd, POLLIN, -1)).toBe(POLLIN)
    expect(timerfd_settime(fd, { first: -1 })).toBe(-EINVAL)
  })
})

describe.runIf(onLinux)('inotify', () => {
  it('tells of what was asked for, by watch, until that is removed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cs-inotify-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'file')
    writeFileSync(path, '')
    const fd = keep(inotify_init1())
    const told: [number, number][] = []
    const drain = () => {
      told.length = 0
      while (readInotify(fd, (watch, mask) => told.push([watch, mask])) > 0);
      return told
    }
    expect(readInotify(fd, () => {})).toBe(-EAGAIN)
    const file = inotify_add_watch(fd, path, IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF)
    const directory = inotify_add_watch(fd, folder, IN_CREATE)
    appendFileSync(path, 'x')
    closeSync(openSync(join(folder, 'a name of some length'), 'w'))
    expect(drain()).toEqual([
      [file, IN_MODIFY],
      [directory, IN_CREATE],
    ])
    renameSync(path, join(folder, 'other'))
    expect(drain()).toEqual([[file, IN_MOVE_SELF]])
    expect(inotify_rm_watch(fd, file)).toBe(0)
    expect(drain()).toEqual([[file, IN_IGNORED]])
    expect(inotify_rm_watch(fd, file)).toBe(-EINVAL)
    expect(inotify_add_watch(fd, join(folder, 'none'), IN_MODIFY)).toBe(-ENOENT)
  })
})

describe.runIf(onLinux)('a pidfd', () => {
  it('is readable when its process has ended, whose status can be looked at before it is collected', () => {
    const source = `
      import { _exit, fork, kill, peekExitStatus, pidfd_open, pipe2, pollOne, POLLIN, read, STILL_RUNNING, waitpid, write } from '@cs/core/posix'
      const [reader, writer] = pipe2(), byte = new Uint8Array(1)
      const child = () => { const pid = fork(); if (pid === 0) { read(reader, byte, 0, 1); _exit(7) }; return pid }
      const pid = child(), fd = pidfd_open(pid)
      const running = [pollOne(fd, POLLIN, 0), peekExitStatus(pid) === STILL_RUNNING]
      write(writer, byte, 0, 1)
      const ended = [pollOne(fd, POLLIN, -1) === POLLIN, peekExitStatus(pid), peekExitStatus(pid), waitpid(pid).code, peekExitStatus(pid)]
      const killed = child(), other = pidfd_open(killed)
      kill(killed, 9)
      pollOne(other, POLLIN, -1)
      console.log(JSON.stringify({ running, ended, killed: peekExitStatus(killed) }))
      waitpid(killed)`
    const ECHILD = 10
    expect(run(source, ['--single-threaded'])).toEqual({
      running: [0, true],
      ended: [true, 7 << 8, 7 << 8, 7, -ECHILD],
      killed: 9,
    })
  })

  it('is not made of a process that is not there', () => {
    expect(pidfd_open(0x3fffff + 1)).toBe(-ESRCH)
    expect(pidfd_open(0)).toBe(-EINVAL)
    expect(keep(pidfd_open(process.pid))).toBeGreaterThan(0)
  })
})

describe('queues of bytes', () => {
  it('tell how much can be read, and how much was not sent yet', () => {
    const [reader, writer] = pipe2().map(keep) as [number, number]
    write(writer, bytes('12345'), 0, 5)
    expect(bytesToRead(reader)).toBe(5)
    const [a, b] = socketpair().map(keep) as [number, number]
    expect([bytesToRead(b), bytesToSend(a)]).toEqual([0, 0])
    write(a, bytes('123'), 0, 3)
    expect(bytesToRead(b)).toBe(3)
    expect(bytesToSend(a)).toBeGreaterThan(0)
    expect(getSendBuffer(a)).toBeGreaterThan(1000)
  })

  it('say where there is nothing to tell', () => {
    const { listener } = connected()
    expect(bytesToRead(listener)).toBe(-EINVAL)
    expect(bytesToRead(keep(openNull()))).toBe(-ENOTTY)
  })
})
