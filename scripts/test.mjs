/**
 * npm test: style, build, types and the tests of every package; the last line is `N passed, N failed`.
 *
 * A step that fails counts as one failure and the steps behind it still run, so that one run shows everything. What passed is
 * kept by turbo and not run again until something it depends on changes; what failed is never kept.
 */
import { existsSync, rmSync } from 'node:fs'
import { delimiter, join, relative } from 'node:path'
import { packageFolders, readJson, root, run, setUp, turbo } from './workspace.mjs'

const LIMIT_MINUTES = Number(process.env.CS_TEST_MINUTES ?? 27)
/** Programs that tests look from outside with: results without them say nothing about results with them. */
const OUTSIDE_TOOLS = ['strace', 'ss', 'wrk']

const failures = []
const limit = AbortSignal.timeout(LIMIT_MINUTES * 60_000)
const keepGoing = '--continue=dependencies-successful'

await setUp()
await step('lint', () => turbo(['//#lint'], [], { signal: limit }))
await step('build', () => turbo(['build'], [keepGoing], { signal: limit }))
await step('types', () => turbo(['types'], [keepGoing], { signal: limit }))
await step('models', () => run(process.execPath, ['scripts/models.mjs', '--check'], { signal: limit }))
const tested = packageFolders().filter((folder) => readJson(join(folder, 'package.json')).scripts?.test)
for (const folder of tested) rmSync(resultsOf(folder), { force: true })
const isTested = await step('test', testAll)
report(tested, isTested)

async function step(name, start) {
  const began = Date.now()
  const { code, output } = await start()
  const isGood = code === 0
  if (!isGood) process.stdout.write(`${output.trimEnd()}\n`)
  process.stdout.write(`${name}: ${isGood ? 'ok' : 'failed'}, ${((Date.now() - began) / 1000).toFixed(1)} s\n`)
  if (!isGood && limit.aborted) failures.push(`${name}: not done after ${LIMIT_MINUTES} minutes`)
  else if (!isGood && name !== 'test') failures.push(name)
  return isGood
}

/** One package at a time: the servers under test would disturb each other. */
function testAll() {
  const env = { CS_TEST_MACHINE: describeMachine() }
  return turbo(['test'], [keepGoing, '--concurrency=1'], { env, signal: limit })
}

/** Part of the key of kept results: other Node versions and other tools at hand give other results. */
function describeMachine() {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const tools = OUTSIDE_TOOLS.filter((tool) => folders.some((folder) => existsSync(join(folder, tool))))
  return [process.version, process.platform, process.arch, ...tools].join(' ')
}

function report(folders, isTested) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const folder of folders) add(folder, total)
  // turbo failed, but no package says of itself that it did
  if (!isTested && total.failed === 0 && failures.length === 0) failures.push('test')
  for (const failure of failures) process.stdout.write(`failed: ${failure}\n`)
  total.failed += failures.length
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
  process.exitCode = total.failed > 0 ? 1 : 0
  process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`)
}

function add(folder, total) {
  const name = relative(root, folder)
  if (!existsSync(resultsOf(folder))) {
    failures.push(`${name}: its tests did not run to their end`)
    return
  }
  const { passed, failed, skipped } = readJson(resultsOf(folder))
  total.passed += passed
  total.failed += failed.length
  total.skipped += skipped.length
  for (const test of failed) process.stdout.write(`failed: ${name}/${test}\n`)
  for (const test of skipped) process.stdout.write(`skipped: ${name}/${test.name}: ${test.reason}\n`)
  process.stdout.write(`${name}: ${passed} passed, ${failed.length} failed\n`)
}

function resultsOf(folder) {
  return join(folder, 'test-results.json')
}
