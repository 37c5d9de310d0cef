/** Processes and threads: fork, wait, signal by number, names. Set-up calls throw PosixError. */
import { readFileSync } from 'node:fs'
import { integer, text, within } from './bounds.js'
import { EINTR, EINVAL, PosixError, UnsupportedError } from './errors.js'
import { bindAll, check, declare, lastError, outcome } from './ffi.js'
import { MADV_DOFORK } from './memory.js'

const c = declare({
  fork: 'int fork()',
  _exit: 'void _exit(int code)',
  waitpid: 'int waitpid(int pid, void* status, int options)',
  waitid: 'int waitid(int type, uint32_t id, void* info, int options)',
  kill: 'int kill(int pid, int signal)',
  tgkill: 'int tgkill(int pid, int tid, int signal)',
  getpid: 'int getpid()',
  getppid: 'int getppid()',
  gettid: 'int gettid()',
  madvise: 'int madvise(uintptr_t address, size_t size, int advice)',
  prctlNumber: 'int prctl(int option, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)',
  prctlText: 'int prctl(int option, void* a, uintptr_t b, uintptr_t c, uintptr_t d)',
  pthread_self: 'uintptr_t pthread_self()',
  pthread_setname_np: 'int pthread_setname_np(void* name)', // macOS: of the calling thread
  pthread_getname_np: 'int pthread_getname_np(uintptr_t thread, void* name, size_t size)',
  pthread_threadid_np: 'int pthread_threadid_np(uintptr_t thread, void* id)',
})

const isLinux = process.platform === 'linux'
const isDarwin = process.platform === 'darwin'

// fork ----------------------------------------------------------------------------------------------------------------

/** Where MADV_DOFORK may go, as [address, size, address, size, …]. BigInts: passing them allocates nothing. */
let gaps: readonly bigint[] = []

// The kernel refuses the advice on what it calls special (VM_SPECIAL): [vvar], [vdso], io_uring rings, devices.
const SPECIAL = / (io|pf|de|mm)\b/

function readGaps(): readonly bigint[] {
  const found: bigint[] = []
  let range: readonly [bigint, bigint] = [0n, 0n]
  let free = 0x10000n // below lies what no process may map
  for (const line of readFileSync('/proc/self/smaps', 'latin1').split('\n')) {
    const bounds = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line)
    if (bounds?.[1]?.startsWith('ffffffff')) break // [vsyscall] belongs to the kernel
    if (bounds) range = [BigInt(`0x${bounds[1]}`), BigInt(`0x${bounds[2]}`)]
    else if (line.startsWith('VmFlags:') && SPECIAL.test(line)) {
      if (range[0] > free) found.push(free, range[0] - free)
      free = range[1]
    }
  }
  if (range[1] > free) found.push(free, range[1] - free)
  return found
}

/** What {@link advised} gives where something special was mapped since the gaps were read. */
const STALE = -2

/**
 * Gives the advice and calls `act`, which forks. A page that V8 maps in between is missing in the child, which dies where it
 * touches it; V8 maps one where a function allocates, is compiled, or is compiled anew. So all is done in here, and rehearsed.
 */
function advised(ranges: readonly bigint[], act: () => number): number {
  for (let i = 0; i < ranges.length; i += 2) {
    // ENOMEM says that the range has holes, after all of it was advised; EINVAL that it stopped at something special.
    const result = c.madvise(ranges[i] as bigint, ranges[i + 1] as bigint, MADV_DOFORK)
    if (result === -1 && lastError() === -EINVAL) return STALE
  }
  return act()
}

/** Calls after which V8 has compiled a function for good (`--trace-opt` tells 2,500), and several times as many. */
const REHEARSALS = 12_000
const HOLE = [0n, 4096n]

let isPrepared = false

/**
 * Does once what `fork` need not do each time: looks up all functions, reads /proc/self/smaps, and has V8 compile the fork
 * itself. Takes some 30 ms; called by the first `fork`, so a server calls it at its start. Any thread. man 2 madvise
 */
export function prepareFork(): void {
  if (isPrepared) return
  isPrepared = true
  bindAll()
  if (!isLinux) return
  gaps = readGaps()
  // With more than one function, or the compiled code would be made for that one alone.
  for (let i = 0; i < REHEARSALS; i++) advised(HOLE, i % 2 === 0 ? c.getpid : c.getppid)
}

/**
 * Forks this process: returns twice, the child's pid in the parent and 0 in the child. It lets the child see V8's heap, which
 * V8 marks MADV_DONTFORK, by some 10-70 µs of advice; /proc/self/smaps is read again where something special was mapped.
 *
 * The child has the calling thread alone: no libuv pool, no GC helpers, no other workers. It must leave by `_exit`, and
 * either make blocking calls only or call `uvLoop().fork()` first (then run the parent with `--single-threaded`). A page
 * that a helper thread of V8 maps between the advice and the fork is missing in the child, which then dies of SIGSEGV:
 * `--single-threaded` closes that window; otherwise see what waitpid says. man 2 fork @throws PosixError
 */
export function fork(): number {
  prepareFork()
  let pid = advised(gaps, c.fork) // returns twice
  if (pid === STALE) {
    gaps = readGaps()
    pid = advised(gaps, c.fork)
  }
  return check(pid === STALE ? -1 : pid, 'fork')
}

/** Ends the process at once: no exit hooks, no flush of streams. Never returns. Any thread. man 2 _exit */
export function _exit(code: number): never {
  c._exit(integer(code, 'code'))
  throw new Error('_exit returned') // never happens
}

// wait and kill -------------------------------------------------------------------------------------------------------

/** How a child ended: by itself with a code, or by a signal. */
export interface Ended {
  readonly pid: number
  /** 0 to 255, if the child ended by itself. */
  readonly code?: number
  /** The number of the signal that ended it, otherwise. */
  readonly signal?: number
}

/** How to wait. */
export interface WaitOptions {
  /** Return 0 at once where no child has ended. Default: false. */
  readonly nohang?: boolean
}

const WNOHANG = 1
const status = new Int32Array(1)

/**
 * Collects a child that ended (`pid`, or any of them where -1) and blocks until there is one; 0 only with `nohang`,
 * where none has ended. Any thread. man 2 waitpid
 * @throws PosixError (ECHILD: there is no such child)
 */
export function waitpid(pid: number, { nohang = false }: WaitOptions = {}): Ended | 0 {
  const options = nohang ? WNOHANG : 0
  let ended: number
  do ended = outcome(c.waitpid(integer(pid, 'pid'), status, options))
  while (ended === -EINTR)
  if (ended < 0) throw new PosixError('waitpid', ended, String(pid))
  return ended === 0 ? 0 : describe(ended, status[0] as number)
}

function describe(pid: number, status: number): Ended {
  const signal = status & 0x7f // WTERMSIG
  return signal === 0 ? { pid, code: (status >> 8) & 0xff } : { pid, signal }
}

const P_PID = 1
const WEXITED = 4
const WNOWAIT = 0x1000000
const CLD_EXITED = 1
const CLD_DUMPED = 3
const CORE_DUMPED = 0x80

// siginfo_t of Linux for SIGCHLD, by 32-bit words: si_code at 2, si_pid at 4, si_status at 6.
const childInfo = new Int32Array(32)

/**
 * Looks at how a child ended and leaves it to be collected by `waitpid`: its wait status as waitpid(2) fills it,
 * STILL_RUNNING, or a negative errno (-ECHILD: no such child, or collected already). Linux. Any thread. man 2 waitid
 */
export function peekExitStatus(pid: number): number {
  childInfo.fill(0)
  const result = outcome(c.waitid(P_PID, integer(pid, 'pid'), childInfo, WEXITED | WNOHANG | WNOWAIT))
  if (result < 0) return result
  const [code, told, status] = [childInfo[2] as number, childInfo[4] as number, childInfo[6] as number]
  if (told === 0) return STILL_RUNNING
  return code === CLD_EXITED ? (status & 0xff) << 8 : status | (code === CLD_DUMPED ? CORE_DUMPED : 0)
}

/** What `peekExitStatus` says of a child that has not ended; no errno of waitid. */
export const STILL_RUNNING: number = -1

/**
 * Sends a signal to a process (pid > 0), its own group (0) or a group (-pgid); 0 only asks. man 2 kill @throws
 * PosixError
 */
export function kill(pid: number, signal: number): void {
  check(c.kill(integer(pid, 'pid'), integer(signal, 'signal')), 'kill', String(pid))
}

/** Sends a signal to one thread of a process. Linux. Any thread. man 2 tgkill @throws PosixError */
export function tgkill(pid: number, tid: number, signal: number): void {
  check(c.tgkill(integer(pid, 'pid'), integer(tid, 'tid'), integer(signal, 'signal')), 'tgkill', `${pid}/${tid}`)
}

// identity ------------------------------------------------------------------------------------------------------------

/** Returns the id of this process; unlike process.pid it is right in a forked child. Any thread. man 2 getpid */
export function getpid(): number {
  return c.getpid()
}

/** Returns the id of the parent; another one (often 1) once the parent has ended. Any thread. man 2 getppid */
export function getppid(): number {
  return c.getppid()
}

/** Returns the kernel's id of the calling thread, as seen in /proc/self/task. Linux, macOS. man 2 gettid */
export function gettid(): number {
  if (!isDarwin) return c.gettid()
  const id = new BigUint64Array(1)
  c.pthread_threadid_np(0, id)
  return Number(id[0])
}

const PR_SET_PDEATHSIG = 1
const PR_SET_NAME = 15
const PR_GET_NAME = 16
const NAME_LIMIT = 15 // bytes, without the closing NUL
const NAME_ROOM = 64 // macOS takes up to 63

/** A thread name in the kernel's form: a process that forks makes it once, so that its children need not. */
export function encodeThreadName(name: string): Uint8Array {
  const bytes = new Uint8Array(NAME_ROOM)
  new TextEncoder().encodeInto(text(name, 'a thread name'), bytes.subarray(0, NAME_LIMIT))
  return bytes
}

/**
 * Names the calling thread, as `top -H` shows it; cut after 15 bytes of UTF-8. Linux, macOS. man 2 prctl @throws
 * RangeError
 */
export function setThreadName(name: string | Uint8Array): void {
  const bytes = typeof name === 'string' ? encodeThreadName(name) : name
  if (isLinux) check(c.prctlText(PR_SET_NAME, within(bytes, 0, NAME_ROOM), 0, 0, 0), 'prctl')
  else if (isDarwin) c.pthread_setname_np(bytes)
  else throw new UnsupportedError('setThreadName()', 'thread names are known for Linux and macOS')
}

/** Returns the name of the calling thread. Linux, macOS. man 2 prctl */
export function getThreadName(): string {
  const bytes = new Uint8Array(NAME_ROOM)
  if (isLinux) check(c.prctlText(PR_GET_NAME, bytes, 0, 0, 0), 'prctl')
  else c.pthread_getname_np(c.pthread_self(), bytes, NAME_ROOM)
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)))
}

/**
 * Has the kernel send `signal` (0: none) to this process when the thread that made it ends. A parent that ended
 * before the call is not noticed: compare getppid. Linux. Any thread. man 2 prctl, PR_SET_PDEATHSIG @throws
 * PosixError, UnsupportedError
 */
export function setParentDeathSignal(signal: number): void {
  check(c.prctlNumber(PR_SET_PDEATHSIG, integer(signal, 'signal'), 0, 0, 0), 'prctl')
}
