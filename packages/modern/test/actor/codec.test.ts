import { expect, test } from 'vitest'
import { seededRandom } from '../../../../tests/support/random.js'
import { Decoder, Encoder, NotSendableError } from '../../dist/actor/codec.js'

const RESERVED = 8

function encoder(): Encoder {
  return new Encoder(RESERVED, () => {})
}

/** What is read again of what was written, one value after the other. */
function readAll({ bytes }: Encoder): unknown[] {
  const decoder = new Decoder(bytes, () => {
    throw new Error('there is no address in it')
  })
  decoder.open(RESERVED, bytes.length)
  const values: unknown[] = []
  while (!decoder.isAtEnd) {
    decoder.unsigned()
    values.push(decoder.value())
  }
  return values
}

test('any data comes out as it went in, many values in one batch', () => {
  const random = seededRandom('codec')
  const pick = (count: number): number => Math.floor(random() * count)
  const text = (): string =>
    Array.from({ length: pick(100) }, () => String.fromCharCode(pick(random() < 0.2 ? 0x10000 : 0x80))).join('')
  const leaves: (() => unknown)[] = [
    () => pick(2 ** 32) - 2 ** 31,
    () => random() * 1e300,
    () => [Number.NaN, Number.POSITIVE_INFINITY, -0, 2 ** 31, -(2 ** 31) - 1][pick(5)],
    () => [undefined, null, true, false, ''][pick(5)],
    text,
    () => 'x'.repeat(pick(5000)),
    () => BigInt(pick(1e9)) ** 9n,
    () => new Date(pick(1e12)),
    () => new Uint8Array(Array.from({ length: pick(50) }, () => pick(256))),
    () => new Float64Array([random(), random()]),
    () => /a+/gi,
  ]
  const value = (depth: number): unknown => {
    const many = <T>(make: () => T): T[] => Array.from({ length: pick(5) }, make)
    if (depth === 0 || random() < 0.4) return leaves[pick(leaves.length)]()
    const inner = (): unknown => value(depth - 1)
    const containers = [
      () => many(inner),
      () => Object.fromEntries(many(() => [['a', 'b', '__proto__', text()][pick(4)], inner()])),
      () => new Map(many(() => [inner(), inner()])),
      () => new Set(many(inner)),
    ]
    return containers[pick(containers.length)]()
  }
  for (let round = 0; round < 200; round++) {
    const values = Array.from({ length: 1 + pick(20) }, () => value(4))
    const batch = encoder()
    for (const each of values) batch.write(0, 7, each, 'message')
    expect(readAll(batch)).toEqual(values)
  }
})

test('a value that is refused leaves nothing in the batch, not even its keys', () => {
  const batch = encoder()
  batch.write(0, 1, { before: 1 }, 'message')
  expect(() => batch.write(0, 2, { known: { later: [1, () => {}] } }, 'message')).toThrow(
    expect.objectContaining({ path: 'message.known.later[1]', code: 'CS_NOT_SENDABLE' }),
  )
  batch.write(0, 3, { later: 2, before: 3, known: 4 }, 'message')
  expect(readAll(batch)).toEqual([{ before: 1 }, { later: 2, before: 3, known: 4 }])
})

test('an error of a getter is that of the sender, and no refusal', () => {
  const batch = encoder()
  const broken = {
    get field(): number {
      throw new RangeError('mine')
    },
  }
  expect(() => batch.write(0, 1, broken, 'message')).toThrow(RangeError)
  expect(() => batch.write(0, 1, broken, 'message')).not.toThrow(NotSendableError)
  expect(batch.isEmpty).toBe(true)
})

test('an error keeps its name, message and stack', () => {
  const batch = encoder()
  const error = new RangeError('too far')
  batch.write(0, 1, { error }, 'message')
  const [{ error: read }] = readAll(batch) as [{ error: Error }]
  expect([read.name, read.message, read.stack]).toEqual(['RangeError', 'too far', error.stack])
})
