import { decodeAddress, encodeAddress, formatAddress, type SocketAddress } from '@cs/core/posix'
import { describe, expect, it } from 'vitest'

const roundTrip = (address: SocketAddress) => {
  const encoded = encodeAddress(address)
  return decodeAddress(encoded, encoded.length)
}

describe('addresses', () => {
  it('survive a round trip', () => {
    const all: readonly SocketAddress[] = [
      { family: 'ipv4', host: '192.168.0.255', port: 65535 },
      { family: 'ipv6', host: '::', port: 0 },
      { family: 'ipv6', host: '::1', port: 80 },
      { family: 'ipv6', host: '2001:db8::ff00:42:8329', port: 443 },
      { family: 'ipv6', host: 'fe80::1', port: 1, scopeId: 3 },
      { family: 'ipv6', host: '::ffff:127.0.0.1', port: 8080 },
      { family: 'unix', path: '/tmp/ä.sock' },
    ]
    for (const address of all) expect(roundTrip(address)).toEqual(address)
  })

  it('come back in canonical form', () => {
    expect(roundTrip({ family: 'ipv6', host: '2001:0DB8:0:0:0:0:0:1', port: 1 })).toMatchObject({ host: '2001:db8::1' })
    expect(roundTrip({ family: 'ipv6', host: '1:2:3:4:5:6:7:8', port: 1 })).toMatchObject({ host: '1:2:3:4:5:6:7:8' })
  })

  it('are formatted as people write them', () => {
    expect(formatAddress({ family: 'ipv4', host: '127.0.0.1', port: 80 })).toBe('127.0.0.1:80')
    expect(formatAddress({ family: 'ipv6', host: '::1', port: 80 })).toBe('[::1]:80')
    expect(formatAddress({ family: 'ipv6', host: 'fe80::1', port: 80, scopeId: 2 })).toBe('[fe80::1%2]:80')
    expect(formatAddress({ family: 'unix', path: '/run/a.sock' })).toBe('/run/a.sock')
  })

  it('that are no addresses are refused', () => {
    const encode = (address: SocketAddress) => () => encodeAddress(address)
    expect(encode({ family: 'ipv4', host: 'localhost', port: 1 })).toThrow(/no IPv4 address/)
    expect(encode({ family: 'ipv4', host: '::1', port: 1 })).toThrow(RangeError)
    expect(encode({ family: 'ipv6', host: 'fe80::1%eth0', port: 1 })).toThrow(/scopeId/)
    expect(encode({ family: 'ipv6', host: '127.0.0.1', port: 1 })).toThrow(RangeError)
    for (const port of [-1, 65536, 1.5, Number.NaN]) {
      expect(encode({ family: 'ipv4', host: '127.0.0.1', port })).toThrow(/a port is from 0 to 65535/)
    }
    expect(() => decodeAddress(new Uint8Array([99, 0, 0, 0]), 4)).toThrow(/family 99/)
  })

  it('of Unix sockets have a path that fits and holds no NUL', () => {
    const encode = (path: string) => () => encodeAddress({ family: 'unix', path })
    expect(encode('')).toThrow(/empty/)
    expect(encode('/tmp/a\0b')).toThrow(/NUL/)
    expect(encode('x'.repeat(200))).toThrow(/at most 10[37] bytes, this one 200/)
    expect(encode('ä'.repeat(60))).toThrow(/this one 120/)
  })

  it.runIf(process.platform === 'linux')('may be abstract names on linux', () => {
    const address: SocketAddress = { family: 'unix', path: '\0name' }
    expect(encodeAddress(address)).toEqual(new Uint8Array([1, 0, 0, 110, 97, 109, 101]))
    expect(roundTrip(address)).toEqual(address)
    expect(formatAddress(address)).toBe('@name')
    expect(encodeAddress({ family: 'unix', path: `/${'x'.repeat(106)}` })).toHaveLength(110)
  })

  it.runIf(process.platform === 'linux')('have the layout of the headers', () => {
    expect([...encodeAddress({ family: 'ipv4', host: '1.2.3.4', port: 0x1234 })]).toEqual([
      2, 0, 0x12, 0x34, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0,
    ])
    const ipv6 = encodeAddress({ family: 'ipv6', host: '::1', port: 0x1234, scopeId: 7 })
    expect(ipv6).toHaveLength(28)
    expect([ipv6[0], ipv6[2], ipv6[23], ipv6[24]]).toEqual([10, 0x12, 1, 7])
  })
})
