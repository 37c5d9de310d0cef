/** pidfd_open(2): a process as a descriptor, readable when it has ended. Linux only, from 5.3 on. */
import { integer } from './bounds.js'
import { declare, outcome } from './ffi.js'

// Through syscall(2): glibc has a function of its own from 2.36 on, musl none.
const c = declare({ syscall: 'int syscall(long number, int pid, uint32_t flags)' })

const SYS_pidfd_open = 434 // on every architecture

/** Opens a process, not only of one's own, close-on-exec: a descriptor or a negative errno. Any thread. man 2 pidfd_open */
export function pidfd_open(pid: number): number {
  return outcome(c.syscall(SYS_pidfd_open, integer(pid, 'pid'), 0))
}
