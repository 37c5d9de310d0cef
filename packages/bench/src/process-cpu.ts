/** The CPU time of a server, of all its processes and all their threads, as /proc/PID/stat tells it (man 5 proc). */
import { readdirSync, readFileSync } from 'node:fs'

/** CLK_TCK is 100 on every Linux that Node runs on: the times in /proc count hundredths of a second. */
const MICROSECONDS_PER_TICK = 10_000

/** What the bench reads of one process. */
export interface ProcessStat {
  readonly pid: number
  /** False of a zombie, which has ended and waits to be asked for its exit code. */
  readonly isAlive: boolean
  readonly parent: number
  readonly session: number
  /** User and system time of its threads, and of those of its children that it has waited for. */
  readonly ticks: number
}

/** Parses /proc/PID/stat. The name stands in parentheses and may itself hold spaces and parentheses. */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ') // from field 3, the state, on
  const field = (number: number): number => Number(fields[number - 3])
  return {
    pid: Number.parseInt(text, 10),
    isAlive: !'ZX'.includes(fields[0] as string),
    parent: field(4),
    session: field(6),
    ticks: field(14) + field(15) + field(16) + field(17),
  }
}

/**
 * The CPU time that a process and all it has started have used so far, in µs.
 * Take it while no load is on: a child that ends between two reads would be missed.
 */
export function cpuMicroseconds(pid: number): number {
  const ticks = processesOf(pid).reduce((sum, process) => sum + process.ticks, 0)
  return ticks * MICROSECONDS_PER_TICK
}

/** What is left alive of a process and all it has started. */
export function livingProcessesOf(pid: number): readonly ProcessStat[] {
  return processesOf(pid).filter((process) => process.isAlive)
}

/** A process, its descendants, and those of its session that have lost their parent. */
function processesOf(pid: number): readonly ProcessStat[] {
  const all = readProcesses()
  const found = new Map(all.filter((each) => each.pid === pid || each.session === pid).map((each) => [each.pid, each]))
  for (let size = -1; size !== found.size; ) {
    size = found.size
    for (const each of all) if (found.has(each.parent)) found.set(each.pid, each)
  }
  return [...found.values()]
}

function readProcesses(): readonly ProcessStat[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(readStat).filter((stat) => stat !== undefined)
}

function readStat(pid: string): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return undefined // it has ended since
  }
}
