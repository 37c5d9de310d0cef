/**
 * Signal-driven I/O: a descriptor that sends a signal when something can be read or written. Linux. The functions
 * throw.
 *
 * The default effect of the signal ends the process, so block it (sigprocmask) in the thread that owns the descriptor
 * before `setAsync`, and take it there with sigtimedwait.
 */
import { descriptor, integer, natural } from './bounds.js'
import { UnsupportedError } from './errors.js'
import { check, declare } from './ffi.js'
import { platform } from './platform.js'

const c = declare({ fcntl: 'int fcntl(int fd, int command, ...)' })

const F_GETFL = 3
const F_SETFL = 4
const F_SETSIG = 10
const F_SETOWN_EX = 15
const F_OWNER_TID = 0

function linuxOnly(what: string): void {
  if (process.platform !== 'linux') throw new UnsupportedError(what, 'only Linux sends such signals to one thread')
}

/**
 * Sends the signals of this open file to one thread alone, by its kernel id (gettid). Any thread. man 2 fcntl,
 * F_SETOWN_EX
 * @throws PosixError (ESRCH: there is no such thread), UnsupportedError
 */
export function setOwnerThread(fd: number, tid: number): void {
  linuxOnly('F_SETOWN_EX')
  const owner = new Int32Array([F_OWNER_TID, integer(natural(tid, 'tid', 1), 'tid')]) // struct f_owner_ex
  check(c.fcntl(descriptor(fd), F_SETOWN_EX, 'void*', owner), 'fcntl')
}

/**
 * Chooses the signal. A real-time one (from sigrtmin() on) is queued for each event and says which descriptor it is
 * about; 0 is SIGIO again, which is merged and says nothing. Any thread. man 2 fcntl, F_SETSIG @throws PosixError,
 * UnsupportedError
 */
export function setIoSignal(fd: number, signal: number): void {
  linuxOnly('F_SETSIG')
  check(c.fcntl(descriptor(fd), F_SETSIG, 'int', integer(signal, 'signal')), 'fcntl')
}

/**
 * Starts or stops the signals, for all who share the open file. They tell changes, not states: what came before is not
 * told, so try once after switching it on, and read until -EAGAIN. Any thread. man 2 fcntl, O_ASYNC @throws PosixError,
 * UnsupportedError
 */
export function setAsync(fd: number, on: boolean): void {
  linuxOnly('O_ASYNC')
  const flags = check(c.fcntl(descriptor(fd), F_GETFL, 'int', 0), 'fcntl')
  const wanted = on ? flags | platform.O_ASYNC : flags & ~platform.O_ASYNC
  if (wanted !== flags) check(c.fcntl(descriptor(fd), F_SETFL, 'int', wanted), 'fcntl')
}
