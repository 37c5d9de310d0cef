import { defineConfig } from 'tsup'

/** One output file for each source file: a worker thread imports a model by the URL of its own module. */
export default defineConfig({
  entry: ['src/**/*.ts'],
  format: 'esm',
  target: 'node20',
  bundle: false,
  clean: true,
  silent: true,
})
