/** npm run bench -- …: compares the models with each other and with node:http; `--help` lists the arguments. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, root, setUp } from './workspace.mjs'

await setUp()
await build('@cs/bench')

const main = join(root, 'packages/bench/dist/main.js')
process.argv = [process.execPath, main, ...process.argv.slice(2)]
await import(pathToFileURL(main).href)
