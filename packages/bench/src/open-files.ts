/** How many descriptors a process may have, which bounds how many connections a server and the bench can hold. */
import { readFileSync } from 'node:fs'

/**
 * The limit of this process, which those it starts inherit. Node has raised it to the hard limit when it started, so there is
 * no more to be had.
 */
export function openFilesLimit(): number {
  return parseLimits(readFileSync('/proc/self/limits', 'latin1'))
}

/** Reads /proc/PID/limits: the soft limit of open files. */
export function parseLimits(text: string): number {
  const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(text) ?? []
  if (soft === undefined) throw new Error(`this is not what /proc/PID/limits holds:\n${text}`)
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}
