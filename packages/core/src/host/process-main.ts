/** The first module of a child process: reads from standard input what it is to be, and runs one unit. */

import { readFileSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { close, dup2, getppid, interruptBy, setParentDeathSignal } from '../posix/index.js'
import { failure, type ProcessBoot, runUnit, type UnitMessage } from './index.js'

/** Where the host listens, and its standard error; the other descriptors are named in what it says; see ProcessUnit. */
const MESSAGE_FD = 3
const ERROR_FD = 7

/** Ends a blocked accept(2), so that the process sees what it is ordered. Nobody else uses it, and ignoring it is its default. */
const WAKE = 'SIGURG'

/** Messages are written at once and whole: the unit may block for ever a moment later. */
function tell(message: UnitMessage): void {
  writeSync(MESSAGE_FD, `${JSON.stringify(message)}\n`)
}

async function main(): Promise<void> {
  const { host, boot } = JSON.parse(readFileSync(0, 'utf8')) as ProcessBoot
  setParentDeathSignal(constants.signals.SIGKILL)
  if (getppid() !== host) process.exit(1) // it ended before the line above
  let woken = (): void => {}
  // The host alone decides when a unit ends; a Ctrl-C at the terminal reaches the whole process group.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  process.on(WAKE, () => woken())
  interruptBy(constants.signals[WAKE])
  try {
    await runUnit(boot, {
      tell,
      onReady: speakForItself,
      onWake: (callback) => {
        woken = callback
      },
    })
    process.exit(0)
  } catch (error) {
    tell(failure(error))
    process.exit(1)
  }
}

/** From here on the process writes to the host's standard error itself: the host keeps what a unit says while it starts. */
function speakForItself(): void {
  dup2(ERROR_FD, 2)
  close(ERROR_FD)
}

await main()
