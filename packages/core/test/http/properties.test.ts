import { LightResponse } from '@cs/core/http'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Client, get, quiet, statuses } from './driver.js'
import { mutated, noise, pieces, seed, valid } from './generated.js'

console.log(`fast-check seed of the HTTP properties: ${seed} (repeat with FC_SEED=${seed})`)

interface Result {
  readonly sent: string
  readonly requests: readonly unknown[]
  readonly closing: boolean
}

/** Feeds one connection whose app reads every body and answers with what it saw. */
async function run(parts: readonly string[], gather = 0): Promise<Result> {
  const requests: unknown[] = []
  const client = new Client({
    gather,
    handler: async (request) => {
      const text = Buffer.from(await request.arrayBuffer()).toString('latin1')
      requests.push([request.method, request.url, [...request.headers], text])
      return new LightResponse(`${requests.length} ${text.length}`)
    },
  })
  for (const part of parts) client.feed(part)
  await quiet()
  await quiet()
  return { sent: client.sent, requests, closing: client.machine.closing }
}

test('any split of any valid pipeline gives the same requests, bodies and output', async () => {
  const property = fc.asyncProperty(
    fc.array(valid, { minLength: 1, maxLength: 4 }),
    fc.array(fc.nat(), { maxLength: 12 }),
    fc.constantFrom(0, 50, 65_536),
    async (pipeline, cuts, gather) => {
      const bytes = pipeline.map((request) => request.bytes).join('')
      const whole = await run([bytes])
      expect(whole.requests).toHaveLength(pipeline.length)
      expect(whole.closing).toBe(false)
      expect(whole.requests.map((request) => (request as string[])[0])).toEqual(pipeline.map(({ method }) => method))
      const bodies = pipeline.map(({ method, body }) => (method === 'GET' || method === 'HEAD' ? '' : body))
      expect(whole.requests.map((request) => (request as string[])[3])).toEqual(bodies)
      expect(await run(pieces(bytes, cuts), gather)).toEqual(whole)
    },
  )
  await fc.assert(property, { seed, numRuns: 400 })
})

test('any valid request byte by byte gives the same', async () => {
  const property = fc.asyncProperty(valid, async ({ bytes }) => {
    expect(await run([...bytes])).toEqual(await run([bytes]))
  })
  await fc.assert(property, { seed, numRuns: 150 })
})

test('any split of any mutated head is accepted or refused alike', () => {
  const property = fc.property(mutated, fc.array(fc.nat(), { maxLength: 12 }), (bytes, cuts) => {
    const head = bytes.slice(0, bytes.indexOf('\r\n\r\n') + 4 || bytes.length) // beyond it an answer may come before a refusal
    const outcome = (parts: readonly string[]) => {
      const client = new Client()
      for (const part of parts) client.feed(part)
      const { requests, sent, machine } = client
      return {
        requests: requests.map(({ method, url, headers }) => [method, url, [...headers]]),
        sent,
        closing: machine.closing,
      }
    }
    expect(outcome(pieces(head, cuts))).toEqual(outcome([head]))
    expect(outcome([...head])).toEqual(outcome([head]))
  })
  fc.assert(property, { seed, numRuns: 1500 })
})

test('no input throws, and nothing is answered behind a refusal', async () => {
  const property = fc.asyncProperty(
    fc.array(
      fc.oneof(
        mutated,
        noise,
        valid.map(({ bytes }) => bytes),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    fc.array(fc.nat(), { maxLength: 6 }),
    fc.boolean(),
    fc.constantFrom(0, 65_536),
    async (inputs, cuts, slow, gather) => {
      const answer = () => new LightResponse('ok')
      const handler = slow ? (request: Request) => request.text().then(answer) : answer
      const client = new Client({ handler, gather })
      for (const piece of pieces(inputs.join(''), cuts)) client.feed(piece)
      if (slow) await quiet()
      const codes = statuses(client.sent)
      const refused = codes.findIndex((code) => code >= 400)
      if (refused >= 0) {
        expect(codes.slice(refused + 1)).toEqual([])
        expect(client.machine).toMatchObject({ closing: true, unparsed: 0 })
      }
      const { closing } = client.machine
      const before = client.sent
      client.feed(get(), get())
      if (slow) await quiet()
      client.end()
      if (closing) expect(client.sent).toBe(before)
    },
  )
  await fc.assert(property, { seed, numRuns: 1500 })
})
