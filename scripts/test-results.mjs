/**
 * A vitest reporter: writes test-results.json into the package for scripts/test.mjs to sum.
 *
 * vitest's own JSON has neither the errors outside of tests nor the reasons of skips. Here both count: a file that does not
 * load, an error nobody caught and a skip that does not say why are failures of the run.
 */
import { writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export class TestResults {
  onInit(vitest) {
    this.root = vitest.config.root
  }

  onTestRunEnd(modules, unhandled) {
    const results = { passed: 0, failed: [], skipped: [] }
    for (const module of modules) this.#add(module, results)
    for (const error of unhandled) results.failed.push(`outside of any test: ${firstLine(error)}`)
    writeFileSync(join(this.root, 'test-results.json'), `${JSON.stringify(results, undefined, 2)}\n`)
    if (results.failed.length > 0) process.exitCode = 1
  }

  #add(module, results) {
    const file = relative(this.root, module.moduleId)
    for (const error of module.errors()) results.failed.push(`${file}: ${firstLine(error)}`)
    for (const suite of module.children.allSuites()) {
      for (const error of suite.errors()) results.failed.push(`${file} > ${suite.fullName}: ${firstLine(error)}`)
    }
    for (const test of module.children.allTests()) addTest(`${file} > ${test.fullName}`, test.result(), results)
  }
}

function addTest(name, { state, note }, results) {
  if (state === 'passed') results.passed++
  else if (state === 'skipped' && note) results.skipped.push({ name, reason: note })
  else if (state === 'skipped') results.failed.push(`${name}: skipped without a reason: use context.skip(when, why)`)
  else results.failed.push(name)
}

function firstLine(error) {
  return String(error.message ?? error).split('\n')[0]
}
