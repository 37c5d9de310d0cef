/** What an observer sees of a process from outside, by proc(5). Linux only. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { release } from 'node:os'

/** Ticks of a second in which /proc counts CPU time (USER_HZ is 100 on every Linux that Node runs on). */
const TICKS = 100

/** Numbers of the system calls that tests look for, by architecture. */
const NUMBERS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  x64: {
    accept: 43,
    accept4: 288,
    epoll_wait: 232,
    epoll_pwait: 281,
    futex: 202,
    poll: 7,
    ppoll: 271,
    select: 23,
    pselect6: 270,
    recvfrom: 45,
    io_uring_enter: 426,
  },
  arm64: {
    accept: 202,
    accept4: 242,
    epoll_pwait: 22,
    futex: 98,
    ppoll: 73,
    pselect6: 72,
    recvfrom: 207,
    io_uring_enter: 426,
  },
}

export interface Thread {
  readonly tid: number
  readonly comm: string
  /** Name of the system call it sits in; its number in words where the table has none; 'running' where it is in none. */
  readonly syscall: string
}

export interface Process {
  readonly pid: number
  readonly ppid: number
  readonly session: number
  readonly state: string
}

/** The threads of a process, by tid. */
export function threadsOf(pid: number): Thread[] {
  const tids = list(`/proc/${pid}/task`).map(Number)
  return tids.flatMap((tid) => {
    const comm = text(`/proc/${pid}/task/${tid}/comm`)
    const syscall = text(`/proc/${pid}/task/${tid}/syscall`)
    return comm === undefined || syscall === undefined ? [] : [{ tid, comm: comm.trim(), syscall: nameOf(syscall) }]
  })
}

/** What the scheduler does with a thread. */
export interface Scheduled {
  readonly comm: string
  /** By the number of sched(7). */
  readonly policy: number
  /** The processors on which it may run, as `0-3,7`. */
  readonly processors: string
  /** Microseconds that it gets at once; undefined where the kernel does not tell, or gives all the same. */
  readonly slice: number | undefined
}

/** Threads can have slices of their own from Linux 6.12 on. */
const [MAJOR, MINOR] = release().split('.').map(Number)
const HAS_SLICES = MAJOR > 6 || (MAJOR === 6 && MINOR >= 12)

/** What it does with the threads of a process, in the order of their tids. */
export function scheduledOf(pid: number): Scheduled[] {
  return list(`/proc/${pid}/task`).flatMap((tid) => {
    const task = `/proc/${pid}/task/${tid}`
    const [comm, fields, status] = [text(`${task}/comm`), statOf(`${task}/stat`), text(`${task}/status`)]
    if (comm === undefined || fields === undefined || status === undefined) return []
    const slice = /^se\.slice\s*:\s*(\d+)/m.exec(text(`${task}/sched`) ?? '')?.[1]
    return [
      {
        comm: comm.trim(),
        policy: Number(fields[38]),
        processors: /^Cpus_allowed_list:\s+(\S+)/m.exec(status)![1],
        slice: HAS_SLICES && slice !== undefined ? Number(slice) / 1000 : undefined,
      },
    ]
  })
}

/** The processes of a session, zombies included: a server under test is the leader of its own. */
export function sessionOf(leader: number): Process[] {
  return list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processOf(Number(name)) ?? [])
    .filter(({ session }) => session === leader)
}

export function childrenOf(pid: number): Process[] {
  return list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processOf(Number(name)) ?? [])
    .filter(({ ppid }) => ppid === pid)
}

export function processOf(pid: number): Process | undefined {
  const fields = statOf(`/proc/${pid}/stat`)
  if (fields === undefined) return undefined
  return { pid, state: fields[0], ppid: Number(fields[1]), session: Number(fields[3]) }
}

/** Open descriptors of a process. */
export function fdCountOf(pid: number): number {
  return list(`/proc/${pid}/fd`).length
}

/** How many descriptors this process, and what it starts, may have. */
export function descriptorLimit(): number {
  const limit = /^Max open files\s+(\S+)/m.exec(text('/proc/self/limits') ?? '')?.[1]
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit)
}

/** Seconds of CPU, user and system, that a process has used. */
export function cpuSecondsOf(pid: number): number {
  const fields = statOf(`/proc/${pid}/stat`)
  return fields === undefined ? 0 : (Number(fields[11]) + Number(fields[12])) / TICKS
}

/** Inodes of the sockets that listen on a TCP port, IPv4 and IPv6. */
export function listenersOn(port: number): string[] {
  return socketsOn(port, (state) => state === LISTEN)
}

/** The descriptors under which a process holds the connections of a port. */
export function connectionsOf(pid: number, port: number): string[] {
  const sockets = socketsOn(port, (state) => state !== LISTEN).map((inode) => `socket:[${inode}]`)
  return list(`/proc/${pid}/fd`).filter((fd) => sockets.includes(link(`/proc/${pid}/fd/${fd}`) ?? ''))
}

/** Tells whether a process has the connection of a port to that port of a client: it was accepted and is not closed. */
export function isHeld(port: number, clientPort: number): boolean {
  return socketsOn(port, (state, remote) => state !== LISTEN && remote.endsWith(suffixOf(clientPort))).some(
    (inode) => inode !== NOBODY,
  )
}

/** The inode of a connection that waits to be accepted, or that was closed and is winding up. */
const NOBODY = '0'

/** What /proc/net/tcp calls the state of a listening socket. */
const LISTEN = '0A'

/** The inodes of the sockets whose own port this is. */
function socketsOn(port: number, isWanted: (state: string, remote: string) => boolean): string[] {
  return ['tcp', 'tcp6']
    .flatMap((table) => (text(`/proc/net/${table}`) ?? '').split('\n').slice(1))
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local, remote, state]) => local?.endsWith(suffixOf(port)) && isWanted(state!, remote!))
    .map((row) => row[9])
}

/** How /proc/net/tcp writes a port. */
function suffixOf(port: number): string {
  return `:${port.toString(16).toUpperCase().padStart(4, '0')}`
}

/** The processes of a session that hold the socket with an inode. */
export function holdersOf(inode: string, leader: number): number[] {
  return sessionOf(leader)
    .map(({ pid }) => pid)
    .filter((pid) => list(`/proc/${pid}/fd`).some((fd) => link(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`))
}

function statOf(path: string): string[] | undefined {
  const stat = text(path)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ') // the name before it may hold anything
}

function nameOf(line: string): string {
  const [number] = line.trim().split(' ')
  if (number === 'running') return number
  const found = Object.entries(NUMBERS[process.arch] ?? {}).find(([, known]) => known === Number(number))
  return found?.[0] ?? `system call ${number}`
}

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return [] // it is gone
  }
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // it is gone
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined // it is gone
  }
}
