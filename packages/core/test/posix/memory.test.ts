import { readFileSync } from 'node:fs'
import {
  Block,
  close,
  copyIn,
  copyOut,
  descriptorLimit,
  duplicate,
  MADV_DONTNEED,
  madvise,
  memfd_create,
  mmapAnonymous,
  mmapShared,
  munmap,
  openNull,
  read,
  setCloseOnExec,
  write,
} from '@cs/core/posix'
import { afterEach, describe, expect, it } from 'vitest'
import { bytes, closeAll, detached, keep, run, text } from './support.js'

afterEach(closeAll)

const onLinux = process.platform === 'linux'
const flagsOf = (fd: number) =>
  Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8)
const CLOEXEC = 0o2000000

describe('descriptors', () => {
  it('swallow bytes on /dev/null', () => {
    const fd = keep(openNull())
    expect(write(fd, bytes('gone'), 0, 4)).toBe(4)
    expect(read(fd, new Uint8Array(4), 0, 4)).toBe(0)
  })

  it.runIf(onLinux)('are close-on-exec, duplicates too', () => {
    const fd = keep(openNull())
    expect(flagsOf(fd) & CLOEXEC).toBe(CLOEXEC)
    setCloseOnExec(fd, false)
    expect(flagsOf(fd) & CLOEXEC).toBe(0)
    expect(flagsOf(keep(duplicate(fd))) & CLOEXEC).toBe(CLOEXEC)
  })

  it('have a limit', () => {
    const { soft, hard } = descriptorLimit()
    expect(soft).toBeGreaterThan(0)
    expect(hard).toBeGreaterThanOrEqual(soft)
  })

  it('are closed once', () => {
    const fd = openNull()
    expect(close(fd)).toBe(0)
    expect(close(fd)).toBeLessThan(0)
  })
})

describe.runIf(onLinux)('shared mappings', () => {
  it('show one memory twice', () => {
    const fd = keep(memfd_create('cs-test', 8192))
    const [one, two] = [mmapShared(fd, 8192), mmapShared(fd, 8192)]
    expect(one.address).not.toBe(two.address)
    new Uint8Array(one.buffer).set(bytes('shared'), 4096)
    expect(text(new Uint8Array(two.buffer, 4096), 6)).toBe('shared')
    Atomics.add(new Int32Array(two.buffer), 1, 7)
    expect(Atomics.load(new Int32Array(one.buffer), 1)).toBe(7)
    for (const { address, size } of [one, two]) munmap(address, size)
  })

  it('refuse what the system refuses', () => {
    expect(() => mmapShared(-1, 4096)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'mmap' }))
    expect(() => mmapAnonymous(0)).toThrow(/mmap.*EINVAL.*above 0/)
    expect(() => munmap(1, 4096)).toThrow(/munmap.*EINVAL/)
    expect(() => memfd_create('a\0b', 1)).toThrow(/NUL/)
    expect(() => memfd_create('x', -1)).toThrow(RangeError)
  })
})

describe('memory by address', () => {
  it('is copied in and out', () => {
    const address = mmapAnonymous(4096)
    copyIn(address, 4096, 100, bytes('>>block<<'), 2, 5)
    const into = new Uint8Array(8)
    copyOut(address, 4096, 100, into, 1, 5)
    expect(text(into.subarray(1), 5)).toBe('block')
    madvise(address, 4096, MADV_DONTNEED)
    copyOut(address, 4096, 100, into, 1, 5)
    if (onLinux) expect([...into]).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
    munmap(address, 4096)
  })

  it('is a block that another handle reads', () => {
    const block = Block.allocate(10)
    expect(block.write(2, bytes('hello'))).toBe(5)
    expect(block.write(7, bytes('xyz'), 1, 3)).toBe(2)
    const into = new Uint8Array(32)
    expect(Block.at(block.address, block.size).read(2, into)).toBe(8)
    expect(text(into, 7)).toBe('helloyz')
    expect(block.read(2, into, 30)).toBe(2)
    block.free()
    block.free()
    expect(block.size).toBe(0)
    expect(() => block.read(0, into, 0, 1)).toThrow(RangeError)
  })

  it('is copied within its bounds only', () => {
    const block = Block.allocate(16)
    const data = new Uint8Array(16)
    for (const [offset, start, length] of [
      [16, 0, 1],
      [0, 16, 1],
      [-1, 0, 1],
      [0, -1, 1],
      [0, 0, 17],
      [0.5, 0, 1],
    ]) {
      const [o, s, l] = [offset, start, length] as [number, number, number]
      expect(() => block.write(o, data, s, s + l)).toThrow(RangeError)
      expect(() => block.read(o, data, s, l)).toThrow(RangeError)
    }
    expect(() => block.write(Number.NaN, data)).toThrow(RangeError)
    expect(() => block.write(0, data, 2, 1)).toThrow(RangeError)
    expect(() => block.write(0, detached())).toThrow(/detached/)
    expect(() => block.read(0, detached())).toThrow(/detached/)
    block.free()
    for (const size of [0, -1, 1.5, Number.NaN]) expect(() => Block.allocate(size)).toThrow(RangeError)
    expect(() => Block.at(0, 16)).toThrow(RangeError)
    expect(() => copyIn(0, 16, 0, data, 0, 1)).toThrow(RangeError)
  })

  it('crosses threads as two numbers', () => {
    const source = `
      import { Worker } from 'node:worker_threads'
      import { Block } from '@cs/core/posix'
      const block = Block.allocate(5)
      const code = "import('@cs/core/posix').then(({ Block }) => { Block.at(" + block.address + ", 5).write(0, Buffer.from('hello')) })"
      new Worker(code, { eval: true }).on('exit', () => {
        const into = new Uint8Array(5)
        block.read(0, into)
        block.free()
        console.log(JSON.stringify(Buffer.from(into).toString()))
      })`
    expect(run(source)).toBe('hello')
  })
})
