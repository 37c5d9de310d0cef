import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { accept4, bind, close, connect, getsockname, listen, type SocketAddress, socket } from '@cs/core/posix'
import { expect } from 'vitest'

const open: number[] = []

/** Remembers a descriptor, so that `closeAll` closes it. */
export function keep(fd: number): number {
  expect(fd).toBeGreaterThanOrEqual(0)
  open.push(fd)
  return fd
}

/** Closes what the test opened, in `afterEach`. */
export function closeAll(): void {
  for (const fd of open.splice(0)) close(fd)
}

/** Closes what was kept last. */
export function closeLast(): void {
  close(open.pop()!)
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (data: Uint8Array, length: number): string => new TextDecoder().decode(data.subarray(0, length))

/** A listening socket on `address`. */
export function listenOn(address: SocketAddress, nonblocking = false): number {
  const fd = keep(socket(address.family, { nonblocking }))
  bind(fd, address)
  listen(fd, 16)
  return fd
}

/** Both ends of a connection to a listener on `address`. */
export function connected(address: SocketAddress = { family: 'ipv4', host: '127.0.0.1', port: 0 }) {
  const listener = listenOn(address)
  const client = keep(socket(address.family))
  expect(connect(client, getsockname(listener))).toBe(0)
  return { listener, client, server: keep(accept4(listener, true)) }
}

/** A view whose memory went elsewhere. */
export function detached(): Uint8Array {
  const view = new Uint8Array(64)
  structuredClone(view.buffer, { transfer: [view.buffer] })
  return view
}

/** Runs a module of its own process and returns the JSON it prints; vitest's workers are neither forked nor renamed. */
export function run(source: string, flags: readonly string[] = []): unknown {
  return JSON.parse(outputOf(source, flags))
}

/** The same, and returns all that it prints. */
export function outputOf(source: string, flags: readonly string[] = []): string {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const child = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', source], { cwd, encoding: 'utf8' })
  if (child.status !== 0) throw new Error(`exit ${child.status ?? child.signal}: ${child.stderr}`)
  return child.stdout
}

/** Source that has the kernel refuse io_uring_setup(2) with EPERM to its process, as a container would. Linux. */
export const withoutIoUring = `
  import koffi from 'koffi'
  {
    const libc = koffi.load(null)
    const number = libc.func('int prctl(int option, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)')
    const pointer = libc.func('int prctl(int option, uintptr_t a, void* b, uintptr_t c, uintptr_t d)')
    const instruction = (code, yes, no, k) => [code | (yes << 16) | (no << 24), k]
    const filter = new Int32Array([
      instruction(0x20, 0, 0, 0), // load the number of the call
      instruction(0x15, 0, 1, 425), // is it io_uring_setup?
      instruction(0x06, 0, 0, 0x50001), // then fail with EPERM
      instruction(0x06, 0, 0, 0x7fff0000), // else allow
    ].flat())
    const program = new BigUint64Array([4n, koffi.address(filter)])
    const PR_SET_NO_NEW_PRIVS = 38, PR_SET_SECCOMP = 22, SECCOMP_MODE_FILTER = 2
    if (number(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw new Error('no new privileges: errno ' + koffi.errno())
    if (pointer(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) !== 0) throw new Error('seccomp: errno ' + koffi.errno())
  }
`
