/** Socket addresses as values, and as the `struct sockaddr` of man 7 ip, ipv6 and unix. */
import { isIPv4, isIPv6 } from 'node:net'
import { platform } from './platform.js'

/** An IPv4 endpoint; `port` is from 0 (the kernel picks one) to 65535. */
export interface Ipv4Address {
  readonly family: 'ipv4'
  readonly host: string
  readonly port: number
}

/** An IPv6 endpoint; `scopeId` is the number of an interface, for link-local addresses. */
export interface Ipv6Address {
  readonly family: 'ipv6'
  readonly host: string
  readonly port: number
  readonly scopeId?: number
}

/** A Unix socket; a path that starts with NUL is an abstract name (Linux), an empty one is an unnamed socket. */
export interface UnixAddress {
  readonly family: 'unix'
  readonly path: string
}

/** Where a socket is bound or connected. */
export type SocketAddress = Ipv4Address | Ipv6Address | UnixAddress

export const AF_UNIX: number = 1
export const AF_INET: number = 2
export const AF_INET6: number = platform.AF_INET6

const PATH = 2 // offset of sun_path
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Encodes an address as the bytes of a `struct sockaddr`, of exactly the length to pass on. Any thread. man 7 ip, unix
 * @throws RangeError where the host is no literal address, the port no port, or the path too long
 */
export function encodeAddress(address: SocketAddress): Uint8Array {
  if (address.family === 'ipv4') return encodeIpv4(address)
  if (address.family === 'ipv6') return encodeIpv6(address)
  return encodeUnix(address)
}

/** Decodes the first `length` bytes of a `struct sockaddr`. Any thread. @throws RangeError on an unknown family */
export function decodeAddress(bytes: Uint8Array, length: number): SocketAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, Math.min(length, bytes.length))
  const family = readFamily(view)
  if (family === AF_INET) return decodeIpv4(view)
  if (family === AF_INET6) return decodeIpv6(view)
  if (family === AF_UNIX) return { family: 'unix', path: decodePath(bytes.subarray(PATH, view.byteLength)) }
  throw new RangeError(`address family ${family} is not supported`)
}

/**
 * Formats an address for people: '127.0.0.1:80', '[::1]:80', '/run/a.sock', '@name' for an abstract one. Any thread.
 */
export function formatAddress(address: SocketAddress): string {
  if (address.family === 'ipv4') return `${address.host}:${address.port}`
  if (address.family === 'ipv6') return `[${address.host}${scope(address)}]:${address.port}`
  return address.path.replace(/^\0/, '@')
}

function scope(address: Ipv6Address): string {
  return address.scopeId ? `%${address.scopeId}` : ''
}

function sockaddr(family: number, length: number): DataView {
  const view = new DataView(new ArrayBuffer(length))
  if (platform.addressLength) view.setUint16(0, (length << 8) | family)
  else view.setUint16(0, family, true)
  return view
}

function readFamily(view: DataView): number {
  if (view.byteLength < PATH) return AF_UNIX // the peer of an unnamed Unix socket
  return platform.addressLength ? view.getUint8(1) : view.getUint16(0, true)
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer)
}

function checkPort(port: number): number {
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new RangeError(`a port is from 0 to 65535: ${port}`)
  return port
}

function encodeIpv4({ host, port }: Ipv4Address): Uint8Array {
  if (!isIPv4(host)) throw new RangeError(`'${host}' is no IPv4 address: names must be resolved first`)
  const view = sockaddr(AF_INET, 16)
  view.setUint16(2, checkPort(port))
  bytesOf(view).set(host.split('.').map(Number), 4)
  return bytesOf(view)
}

function decodeIpv4(view: DataView): Ipv4Address {
  const host = new Uint8Array(view.buffer, view.byteOffset + 4, 4).join('.')
  return { family: 'ipv4', host, port: view.getUint16(2) }
}

function encodeIpv6({ host, port, scopeId = 0 }: Ipv6Address): Uint8Array {
  if (host.includes('%')) throw new RangeError(`'${host}' has a zone: pass it as scopeId, the number of the interface`)
  if (!isIPv6(host)) throw new RangeError(`'${host}' is no IPv6 address: names must be resolved first`)
  const view = sockaddr(AF_INET6, 28)
  view.setUint16(2, checkPort(port))
  groupsOf(host).forEach((group, i) => {
    view.setUint16(8 + 2 * i, group)
  })
  view.setUint32(24, scopeId, true)
  return bytesOf(view)
}

function decodeIpv6(view: DataView): Ipv6Address {
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i))
  const address = { family: 'ipv6', host: hostOf(groups), port: view.getUint16(2) } as const
  const scopeId = view.getUint32(24, true)
  return scopeId === 0 ? address : { ...address, scopeId }
}

/** WHATWG URLs bring IPv6 literals into the canonical form of RFC 5952, so both directions go through them. */
function canonical(host: string): string {
  return new URL(`http://[${host}]`).hostname.slice(1, -1)
}

function groupsOf(host: string): readonly number[] {
  const [head = '', tail] = canonical(host).split('::')
  const left = head.split(':').filter(Boolean)
  const right = (tail ?? '').split(':').filter(Boolean)
  const zeros = Array<string>(8 - left.length - right.length).fill('0')
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16))
}

function hostOf(groups: readonly number[]): string {
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)
  if (!isMapped) return canonical(groups.map((group) => group.toString(16)).join(':'))
  const [high, low] = [groups[6] as number, groups[7] as number]
  return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

function encodeUnix({ path }: UnixAddress): Uint8Array {
  const isAbstract = path.startsWith('\0')
  const bytes = encoder.encode(path)
  const limit = platform.unixPathLimit + (isAbstract ? 1 : 0) // an abstract name has no closing NUL
  checkPath(path, bytes.length, limit, isAbstract)
  const view = sockaddr(AF_UNIX, PATH + bytes.length + (isAbstract ? 0 : 1))
  bytesOf(view).set(bytes, PATH)
  return bytesOf(view)
}

function checkPath(path: string, length: number, limit: number, isAbstract: boolean): void {
  const shown = path.replaceAll('\0', '\\0')
  if (length === 0) throw new RangeError('the path of a Unix socket must not be empty')
  if (length > limit)
    throw new RangeError(`a Unix socket path has at most ${limit} bytes, this one ${length}: ${shown}`)
  if (isAbstract && platform.addressLength) throw new RangeError(`abstract socket names exist on Linux only: ${shown}`)
  if (!isAbstract && path.includes('\0')) throw new RangeError(`a Unix socket path must not contain a NUL: ${shown}`)
}

function decodePath(bytes: Uint8Array): string {
  if (bytes[0] === 0 && !platform.addressLength) return decoder.decode(bytes) // abstract: NULs belong to the name
  const end = bytes.indexOf(0)
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end))
}
