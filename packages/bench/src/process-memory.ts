/** The memory of a server in user space, of all its processes, as /proc/PID/smaps_rollup tells it (man 5 proc). */
import { readFileSync } from 'node:fs'
import { livingProcessesOf } from './process-cpu.js'

/**
 * Parts of the proportional set size: a page that K processes share counts 1/K in each, so their sum counts it once.
 * What is mapped from files is left out: it is code, and the kernel may drop it.
 */
const PARTS = ['Pss_Anon', 'Pss_Shmem', 'SwapPss']

/** Bytes that a process and all it has started hold: heaps, stacks, and memory shared between them. @throws before Linux 5.4 */
export function memoryBytes(pid: number): number {
  return livingProcessesOf(pid).reduce((sum, process) => sum + bytesOf(process.pid), 0)
}

function bytesOf(pid: number): number {
  const text = readRollup(pid)
  return text === undefined ? 0 : parseRollup(text)
}

function readRollup(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined // it has ended since
    throw error
  }
}

/** Reads smaps_rollup: the sum of the anonymous and the shared memory, in bytes. */
export function parseRollup(text: string): number {
  return PARTS.reduce((sum, part) => sum + kilobytes(text, part) * 1024, 0)
}

function kilobytes(text: string, part: string): number {
  const [, amount] = new RegExp(`^${part}:\\s+(\\d+) kB$`, 'm').exec(text) ?? []
  if (amount === undefined) throw new Error(`smaps_rollup has no ${part}; the memory figures need Linux 5.4 or newer`)
  return Number(amount)
}
