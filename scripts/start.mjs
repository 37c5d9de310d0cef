/**
 * npm start: serves with epoll on port $PORT or 8080; what stands behind `npm start --` goes to `cs serve` instead.
 *
 * The server runs in this process, so every signal, also one to the whole process group, reaches it, its exit code is this
 * command's, and no orphan can stay behind.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, root, setUp } from './workspace.mjs'

const DEFAULT_MODEL = 'epoll'

const given = process.argv.slice(2)
const hasModel = given.length > 0 && !given[0].startsWith('-')

await setUp()
await build('@cs/cli')

const cs = join(root, 'packages/cli/bin/cs.js')
process.argv = [process.execPath, cs, 'serve', ...(hasModel ? [] : [DEFAULT_MODEL]), ...given]
await import(pathToFileURL(cs).href)
