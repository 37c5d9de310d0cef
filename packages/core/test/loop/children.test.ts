import { describe, expect, it } from 'vitest'
import { run } from '../posix/support.js'

const onLinux = process.platform === 'linux'

/** A parent that serves one client; `rows` makes the cells, `child` is what a child does. */
const parent = (rows: string, child: string): string => `
  import { setImmediate } from 'node:timers/promises'
  import { Service, countsOf } from '@cs/core/connection'
  import { Children } from '@cs/core/loop'
  import { close, connect, eventfd, mmapShared, memfd_create, recv, socket, send, _exit } from '@cs/core/posix'
  import { Listener } from '@cs/core/socket'
  const buffer = ${rows}
  const rows = { crowded: new Int32Array(buffer, 0, 1), states: new Int32Array(buffer, 8, 4), counters: new Float64Array(buffer, 32, 28) }
  let requested = false
  const opener = Listener.open({ address: { family: 'ipv4', host: '127.0.0.1', port: 0 } })
  const listener = Listener.adopt(opener.fd, opener.address, () => requested)
  const said = []
  const service = new Service({ app: { fetch: () => new Response('') }, blocking: true, log: (line) => said.push(line) })
  const stop = { fd: eventfd(), get requested() { return requested } }
  const children = new Children({ children: rows, service, listener, stop })
  const client = socket('ipv4')
  connect(client, opener.address)
  let forks = 0
  for await (const fd of children.acceptedFrom(listener, () => {})) {
    forks++
    if (!children.fork(fd)) {
      requested = true // ends once no child is left
      opener.unblock()
      continue
    }
    ${child}
    await children.leave()
  }
  const bytes = Buffer.alloc(64)
  const n = recv(client, bytes, 0, 64)
  console.log(JSON.stringify({ forks, said, text: bytes.toString('latin1', 0, Math.max(0, n)), lost: countsOf(service.counters).lost, states: [...rows.states] }))`

const SHARED = "mmapShared(memfd_create('rows', 256), 256).buffer"
/** Cells of which each process has its own: the parent never hears that a child is alive. */
const PRIVATE = 'new ArrayBuffer(256)'
const ANSWERS = "const text = Buffer.from('served'); send(fd, text, 0, text.length); close(fd)"

describe.runIf(onLinux)('children', () => {
  it('serve a connection each, which the parent lets go of', () => {
    expect(run(parent(SHARED, ANSWERS), ['--single-threaded'])).toEqual({
      forks: 1,
      said: [],
      text: 'served',
      lost: 0,
      states: [0, 0, 0, 0],
    })
  })

  it('that end amid their work are told of', () => {
    const result = run(parent(SHARED, '_exit(7)'), ['--single-threaded'])
    expect(result).toMatchObject({
      forks: 1,
      text: '',
      said: [expect.stringMatching(/^the child \d+ ended with code 7/)],
    })
  })

  it('that die before they live are followed by others, up to a bound', () => {
    const result = run(parent(PRIVATE, '_exit(7)'), ['--single-threaded'])
    expect(result).toMatchObject({
      forks: 5,
      text: '',
      lost: 1,
      said: ['a connection is given up after 5 children; of the last: it died before it lived: ended with code 7'],
    })
  })
})
