/**
 * What the commands of the root share: the dependencies in place, and turbo run on the packages.
 *
 * Nothing is installed yet when this is loaded, so it uses Node and npm alone: npx fetches the pnpm that package.json pins,
 * and a stamp in node_modules says for which lockfile and manifests it has run.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

const manifest = readJson(join(root, 'package.json'))
const stampFile = join(root, 'node_modules/.cs-set-up.json')
const COMMAND = 'node_modules/.bin/cs'
const quietTools = { TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1', DO_NOT_TRACK: '1' }

refuseOldNode()

export function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

function refuseOldNode() {
  const wanted = /(\d+)\.(\d+)/.exec(manifest.engines.node)
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > Number(wanted[1]) || (major === Number(wanted[1]) && minor >= Number(wanted[2]))) return
  process.stderr.write(`Node ${wanted[0]} or newer is needed, this is ${process.versions.node}.\n`)
  process.exit(1)
}

/** The folders of all packages, as pnpm-workspace.yaml lists them. */
export function packageFolders() {
  const lines = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8').split('\n')
  const start = lines.indexOf('packages:') + 1
  const end = lines.findIndex((line, at) => at >= start && !/^\s+-/.test(line))
  const patterns = lines.slice(start, end === -1 ? undefined : end).map((line) => line.replace(/^\s+-\s+/, '').trim())
  return patterns.flatMap(foldersOf).filter((folder) => existsSync(join(folder, 'package.json')))
}

function foldersOf(pattern) {
  if (!pattern.endsWith('/*')) return [join(root, pattern)]
  const parent = join(root, pattern.slice(0, -2))
  if (!existsSync(parent)) return []
  return readdirSync(parent)
    .sort()
    .map((name) => join(parent, name))
}

/** Installs the dependencies unless they are as the lockfile and the manifests say; exits when that fails. */
export async function setUp() {
  const inputs = hashOfInputs()
  const stamp = existsSync(stampFile) ? readJson(stampFile) : {}
  if (stamp.inputs === inputs && existsSync(stamp.pnpm) && existsSync(join(root, COMMAND))) return
  process.stderr.write('installing the dependencies\n')
  const pnpm = await findPnpm()
  await runOrExit(pnpm, ['install', '--frozen-lockfile'], { env: { CI: 'true' } }) // CI: pnpm asks no questions
  linkCommand()
  mkdirSync(dirname(stampFile), { recursive: true })
  writeFileSync(stampFile, JSON.stringify({ inputs, pnpm }))
}

/** Makes `npx cs` work in the root; as a dependency of the root the cli would make turbo build all when it changes. */
function linkCommand() {
  rmSync(join(root, COMMAND), { force: true })
  symlinkSync('../../packages/cli/bin/cs.js', join(root, COMMAND))
}

function hashOfInputs() {
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json'].map((name) => join(root, name))
  const manifests = packageFolders().map((folder) => join(folder, 'package.json'))
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${root}`)
  for (const file of [...files, ...manifests]) hash.update(`\0${file}\0`).update(readFileSync(file))
  return hash.digest('hex')
}

/** Where npx keeps the pinned pnpm: turbo must find it in PATH, since it runs every task through it. */
async function findPnpm() {
  const pinned = manifest.packageManager.split('+')[0]
  const { output } = await runOrExit('npx', ['-y', '--package', pinned, '-c', 'command -v pnpm'])
  const found = output.split('\n').find((line) => line.startsWith('/'))
  if (found) return found
  process.stderr.write(`npx did not say where ${pinned} is:\n${output}`)
  process.exit(1)
}

/** Runs tasks of turbo.json; what succeeds says nothing. */
export function turbo(tasks, flags = [], options = {}) {
  return run('turbo', ['run', ...tasks, '--output-logs=errors-only', ...flags], options)
}

/** Builds a package and what it needs, only what changed; exits when that fails. */
export async function build(name) {
  await runOrExit('turbo', ['run', 'build', `--filter=${name}`, '--output-logs=errors-only'])
}

/** Like {@link run}; a failure shows the whole output and ends this process. */
export async function runOrExit(command, args, options) {
  const result = await run(command, args, options)
  if (result.code === 0) return result
  process.stderr.write(`${result.output}\n${[command, ...args].join(' ')} failed\n`)
  process.exit(1)
}

/**
 * Runs a program in the root and resolves to its exit code and its output. A signal to this process ends the program, and
 * then this process. `options.signal` ends the program early.
 */
export function run(command, args, options = {}) {
  const env = { ...process.env, ...quietTools, PATH: searchPath(), ...options.env }
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks = []
  child.stdout.on('data', (chunk) => chunks.push(chunk))
  child.stderr.on('data', (chunk) => chunks.push(chunk))
  const releaseSignals = passSignals(child)
  const releaseLimit = endEarly(child, options.signal)
  return new Promise((resolve) => {
    const done = (code) => {
      releaseSignals()
      releaseLimit()
      resolve({ code, output: Buffer.concat(chunks).toString() })
    }
    child.once('error', (error) => done(chunks.push(Buffer.from(`${error.message}\n`))))
    child.once('close', (code) => done(code ?? 1))
    child.once('exit', (code) => options.signal?.aborted && done(code || 1)) // a grandchild may keep the pipes open
  })
}

function searchPath() {
  const pnpm = existsSync(stampFile) ? [dirname(readJson(stampFile).pnpm)] : []
  return [join(root, 'node_modules/.bin'), ...pnpm, process.env.PATH].join(delimiter)
}

function passSignals(child) {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  const pass = (signal) => {
    child.kill('SIGTERM') // SIGINT may be ignored: a shell starts its background jobs so
    child.once('exit', () => process.exit(128 + constants.signals[signal]))
  }
  for (const signal of signals) process.on(signal, pass)
  return () => {
    for (const signal of signals) process.off(signal, pass)
  }
}

function endEarly(child, signal) {
  let force
  const end = () => {
    child.kill('SIGTERM')
    force = setTimeout(() => child.kill('SIGKILL'), 20_000)
  }
  if (signal?.aborted) end()
  signal?.addEventListener('abort', end)
  return () => {
    clearTimeout(force)
    signal?.removeEventListener('abort', end)
  }
}
