/** The first module of a child process: reads from standard input what it is to be, and runs one unit. */

import { readFileSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { setParentDeathSignal } from '../posix/index.js'
import { failure, runUnit, type UnitBoot, type UnitMessage } from './unit-run.js'

/** Where the host listens, the other descriptors are named in what it says; see ProcessUnit. */
const MESSAGE_FD = 3

/** Messages are written at once and whole: the unit may block for ever a moment later. */
function tell(message: UnitMessage): void {
  writeSync(MESSAGE_FD, `${JSON.stringify(message)}\n`)
}

async function main(): Promise<void> {
  setParentDeathSignal(constants.signals.SIGKILL)
  // The host alone decides when a unit ends; a Ctrl-C at the terminal reaches the whole process group.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  try {
    await runUnit(JSON.parse(readFileSync(0, 'utf8')) as UnitBoot, tell)
    process.exit(0)
  } catch (error) {
    tell(failure(error))
    process.exit(1)
  }
}

await main()
