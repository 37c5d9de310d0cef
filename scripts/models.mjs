/**
 * Writes models/: for each model of the registry a package of its own that re-exports it from its family, so that
 * `pnpm add @cs/epoll` brings one model. Run it after a model was added; with --check it only says whether it is up to date.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { models, packageOf } from '../packages/registry/dist/index.js'

const root = join(import.meta.dirname, '..')
const check = process.argv.includes('--check')
const stale = models.flatMap(filesOf).filter(([path, text]) => !isWritten(path, text))

if (check && stale.length > 0) {
  console.error(`not as the registry says, run node scripts/models.mjs: ${stale.map(([path]) => path).join(', ')}`)
  process.exit(1)
}
for (const [path, text] of stale) {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

/** The files of a model's package, as [path, text]. */
function filesOf(model) {
  const family = packageOf(model)
  const { version, engines, license } = JSON.parse(
    readFileSync(join(root, 'packages', model.family, 'package.json'), 'utf8'),
  )
  const manifest = {
    name: `@cs/${model.name}`,
    version,
    description: `A server for Node.js: ${model.summary}`,
    license,
    type: 'module',
    sideEffects: false,
    engines,
    files: ['index.js', 'index.d.ts'],
    exports: { '.': { types: './index.d.ts', default: './index.js' } },
    dependencies: { [family]: 'workspace:*' },
  }
  const source = `export * from '${family}/${model.name}'\n`
  const readme = `# @cs/${model.name}

A server for Node.js: ${model.summary}. One of the concurrency models of @cs, re-exported from \`${family}\`.

\`\`\`js
import { serve } from '@cs/${model.name}'

const server = await serve({ app: new URL('./app.js', import.meta.url), port: 8080 })
console.log(server.url)
\`\`\`

\`app.js\` has a fetch handler as its default export: \`export default { fetch: (request) => new Response('Hello') }\`.
`
  const folder = `models/${model.name}`
  return [
    [`${folder}/package.json`, `${JSON.stringify(manifest, null, 2)}\n`],
    [`${folder}/index.js`, source],
    [`${folder}/index.d.ts`, source],
    [`${folder}/README.md`, readme],
  ]
}

function isWritten(path, text) {
  try {
    return readFileSync(join(root, path), 'utf8') === text
  } catch {
    return false
  }
}
