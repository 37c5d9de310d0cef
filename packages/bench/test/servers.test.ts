import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { livingProcessesOf } from '../dist/process-cpu.js'
import { nodeHttpServer, type ServerSpec, startServer } from '../dist/servers.js'

const { signal } = new AbortController()
const careless = fileURLToPath(new URL('./fixtures/careless.mjs', import.meta.url))

function script(source: string): ServerSpec {
  return { name: 'a server', command: ['-e', source] }
}

describe('a server of the bench', () => {
  it('answers once it is started, and is gone once it is stopped', async () => {
    const server = await startServer(nodeHttpServer, signal)
    expect(await (await fetch(server.url)).text()).toBe('Hello, World!')
    await server.stop()
    expect(livingProcessesOf(server.pid)).toEqual([])
    await expect(fetch(server.url)).rejects.toThrow()
  })

  it('keeps idle connections for ever if it is node:http and is told to', async () => {
    const patient = { ...nodeHttpServer, command: [...nodeHttpServer.command, '--keep-alive-timeout', '0'] }
    const headers: (string | null)[] = []
    for (const spec of [nodeHttpServer, patient]) {
      const server = await startServer(spec, signal)
      headers.push((await fetch(server.url)).headers.get('keep-alive'))
      await server.stop()
    }
    expect(headers).toEqual(['timeout=5', null]) // what node:http says of the time that it allows
  })

  it('may not leave a process behind, which is ended all the same', async () => {
    const server = await startServer({ name: 'a server', command: [careless, 'Hello, World!'] }, signal)
    await expect(server.stop()).rejects.toThrow(/^a server left processes behind: \d+$/)
    await expect.poll(() => livingProcessesOf(server.pid)).toEqual([])
  })

  it('must answer as the others do', async () => {
    const wrong = startServer({ name: 'a server', command: [careless, 'something else'] }, signal)
    await expect(wrong).rejects.toThrow('a server answers 200 something else')
  })

  it('that does not start says what it printed', async () => {
    const failing = startServer(script('console.error("no luck"); process.exit(3)'), signal)
    await expect(failing).rejects.toThrow('a server did not start: exit code 3\nno luck')
  })

  it('is not waited for after the signal', async () => {
    const silent = startServer(script('setInterval(() => {}, 1e6)'), AbortSignal.timeout(300))
    await expect(silent).rejects.toThrow('aborted due to timeout')
  })
})
