import { join, relative } from 'node:path'
import { defineConfig, type Options } from 'tsup'

const SRC = join(import.meta.dirname, 'src')
/** Where a worker thread and a child process begin: outside of the floor, as it were. */
const MAINS = ['host/thread-main.ts', 'host/process-main.ts']

/** Leaves the index of a floor an import, wherever it is imported from outside the floor. */
const floors: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'floors',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/index\.js$/ }, ({ path, importer, resolveDir }) => {
      const [floor, ...inner] = relative(SRC, join(resolveDir, path)).split('/')
      const from = relative(SRC, importer)
      const isWithin = from.startsWith(`${floor}/`) && !MAINS.includes(from)
      if (isWithin || inner.length > 1) return undefined
      return { path: from.includes('/') ? `../${floor}/index.js` : `./${floor}/index.js`, external: true }
    }),
}

/** Gives a class that names itself its name back, which esbuild changes to `_Name`: profiles and stacks show it. */
const names: NonNullable<Options['plugins']>[number] = {
  name: 'names',
  renderChunk: (code) => {
    const renamed = new Set(Array.from(code.matchAll(/ = class (_\w+)/g), ([, name]) => name!))
    return { code: code.replace(/\b_\w+/g, (word) => (renamed.has(word) ? word.slice(1) : word)) }
  },
}

/** One output file for each floor: a thread that starts reads a dozen files instead of 150. */
export default defineConfig({
  entry: ['src/index.ts', 'src/*/index.ts', ...MAINS.map((main) => `src/${main}`)],
  format: 'esm',
  target: 'node20',
  splitting: false,
  esbuildPlugins: [floors],
  plugins: [names],
  clean: true,
  silent: true,
})
