/** The suites there are. */
import { families } from './families.js'
import { idle } from './idle/suite.js'
import { soak } from './soak.js'
import type { Suite } from './suite.js'
import { throughput } from './throughput.js'

/** All suites; the first is measured where none is named. */
export const suites: readonly Suite[] = [throughput, idle, ...families, soak]

/** The suites of these names, each once, in the order in which they were first named. @throws on an unknown one */
export function findSuites(names: readonly string[]): readonly Suite[] {
  if (names.length === 0) return suites.slice(0, 1)
  return [...new Set(names)].map(findSuite)
}

function findSuite(name: string): Suite {
  const suite = suites.find((each) => each.name === name)
  if (suite !== undefined) return suite
  throw new Error(`there is no suite '${name}'; there are: ${suites.map((each) => each.name).join(', ')}`)
}
