/** cs serve: an app on a model, from start to drain. */

import { constants } from 'node:os'
import type { Server } from '@cs/core'
import { ignoreSignal } from '@cs/core/posix'
import { loadModel, modelNames } from '@cs/registry/load'
import { type CommandDef, defineCommand } from 'citty'
import { fail } from './fail.js'
import { settingsFrom } from './settings.js'
import { refuseUnknown } from './strict.js'

/** Milliseconds after the drain's end in which whatever still holds the process must let go of it. */
const LAST_MS = 2000

const definitions = {
  model: { type: 'positional', required: true, description: 'the model, see `cs list`' },
  port: { type: 'positional', required: false, description: 'the port; 0 picks a free one (default: $PORT or 8080)' },
  app: { type: 'string', description: 'the module of the app (default: a built-in one that says Hello, World!)' },
  host: { type: 'string', description: 'the address to listen on (default: $HOST or 127.0.0.1)' },
  path: { type: 'string', description: 'the path of a Unix socket to listen on instead' },
  set: { type: 'string', description: 'an option of the model, name=value; may be repeated' },
} as const

export const serve: CommandDef<typeof definitions> = defineCommand({
  meta: { name: 'serve', description: 'Serve an app on a model' },
  args: definitions,
  async run({ args, rawArgs }) {
    try {
      refuseUnknown(args, definitions)
      const attend = catchSignals()
      const server = await start(args, settingsFrom(rawArgs))
      announce(server)
      attend(server)
      await server.ended
      ignoreSignals()
    } catch (error) {
      fail(error)
    }
    process.exitCode = 0
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), LAST_MS).unref()
  },
})

interface Args {
  readonly model: string
  readonly port?: string | undefined
  readonly app?: string | undefined
  readonly host?: string | undefined
  readonly path?: string | undefined
}

async function start(args: Args, settings: Readonly<Record<string, string>>): Promise<Server> {
  const model = await loadModel(args.model)
  if (model === undefined) {
    throw new Error(`there is no model '${args.model}'; there are: ${modelNames.join(', ')}`)
  }
  const port = args.port ?? process.env.PORT ?? '8080'
  if (!/^\d{1,5}$/.test(port)) throw new Error(`the port cannot be '${port}': it takes a whole number from 0 to 65535`)
  return model.serve({
    ...settings,
    app: args.app ?? new URL('./default-app.js', import.meta.url),
    port: Number(port),
    host: args.host ?? process.env.HOST ?? '127.0.0.1',
    ...(args.path === undefined ? {} : { path: args.path }),
  })
}

function announce({ url, model, mechanism }: Server): void {
  process.stdout.write(`listening on ${url} (${model}, pid ${process.pid})\n`)
  if (mechanism !== undefined) process.stdout.write(`${model}: ${mechanism}\n`)
}

/** Milliseconds that a start gets to come to its end once it is no longer wanted. */
const START_MS = 5000

/** Milliseconds in which two interrupts are one: a terminal sends Ctrl-C to the whole group, and npm passes it on. */
const SAME_MS = 100

/**
 * Takes over TERM and INT: the first drains the server, a second INT cuts what is left. It is called before the start, since the
 * server may have answered before it has been announced; what comes until then is made up for when it is there.
 */
function catchSignals(): (server: Server) => void {
  let server: Server | undefined
  let isWanted = false
  let interruptedAt = Number.POSITIVE_INFINITY
  const drain = (): void => {
    isWanted = true
    if (server !== undefined)
      server.close().catch(() => {}) // `ended` tells
    else setTimeout(() => server === undefined && process.exit(1), START_MS).unref()
  }
  process.on('SIGTERM', drain)
  process.on('SIGINT', () => {
    if (Date.now() - interruptedAt > SAME_MS) {
      if (server === undefined) process.exit(1)
      server.force()
    }
    interruptedAt = Math.min(interruptedAt, Date.now())
    drain()
  })
  process.on('SIGTTIN', () => resize(server, 'grow'))
  process.on('SIGTTOU', () => resize(server, 'shrink'))
  return (started) => {
    server = started
    if (isWanted) drain()
  }
}

/** One unit more or fewer; where the model has no pool, a line says so. */
function resize(server: Server | undefined, how: 'grow' | 'shrink'): void {
  try {
    server?.[how]()
  } catch (error) {
    process.stderr.write(`cs: ${error instanceof Error ? error.message : error}\n`)
  }
}

/** A signal that comes while Node winds up must not turn success into a death. */
function ignoreSignals(): void {
  for (const name of ['SIGTERM', 'SIGINT', 'SIGTTIN', 'SIGTTOU'] as const) {
    process.removeAllListeners(name)
    ignoreSignal(constants.signals[name])
  }
}
