import { defineConfig } from 'vitest/config'
import { TestResults } from './scripts/test-results.mjs'

/** Tests run against the built packages, as users get them; each package writes its counts for scripts/test.mjs. */
export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', new TestResults()],
  },
})
