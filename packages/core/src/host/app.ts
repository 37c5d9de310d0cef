import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import type { FetchApp } from '../connection/index.js'
import { installFetchGlobals } from '../http/index.js'

/** An app that could not be loaded, or is none. */
export class AppError extends Error {
  readonly code: string = 'ERR_CS_APP'
  override readonly name: string = 'AppError'
}

/**
 * Imports an app: a module whose default export, or whose `app` export, is a fetch handler or has one (`{ fetch }`).
 * The light fetch classes are the globals of the thread from here on. Compiled `whole`, it costs forked children no compiling.
 * @throws AppError with the cause, where the module does not load or has no handler
 */
export async function loadApp(url: string, whole = false): Promise<FetchApp> {
  installFetchGlobals()
  let module: Record<string, unknown>
  if (whole) setFlagsFromString('--no-lazy')
  try {
    module = (await import(url)) as Record<string, unknown>
  } catch (cause) {
    throw new AppError(`the app ${url} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
  } finally {
    if (whole) setFlagsFromString('--lazy')
  }
  const app = asApp(module.default) ?? asApp(module.app) ?? asApp(module)
  if (app === undefined) {
    throw new AppError(
      `the app ${url} has no fetch handler: export default { fetch(request) { return new Response() } }`,
    )
  }
  return app
}

function asApp(value: unknown): FetchApp | undefined {
  if (typeof value === 'function' && !/^class\b/.test(Function.prototype.toString.call(value))) {
    if (typeof (value as unknown as FetchApp).fetch !== 'function') return { fetch: value as FetchApp['fetch'] }
  }
  const { fetch } = (value ?? {}) as Partial<FetchApp>
  return typeof fetch === 'function' ? (value as FetchApp) : undefined
}

/** The URL of an app given as a URL, a URL string or a path relative to the working directory. */
export function appUrl(app: URL | string): string {
  if (app instanceof URL) return app.href
  return /^[a-z][a-z0-9+.-]+:/i.test(app) ? app : pathToFileURL(app).href
}
