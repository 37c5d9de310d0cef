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
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const child = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', source], { cwd, encoding: 'utf8' })
  if (child.status !== 0) throw new Error(`exit ${child.status ?? child.signal}: ${child.stderr}`)
  return JSON.parse(child.stdout)
}
