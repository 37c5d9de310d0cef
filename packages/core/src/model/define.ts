/** A model: its name, its options, what its roles share, and the roles; and the function that serves an app on it. */

import { type Roles, registerRoles } from '../host/index.js'
import { isSupported, platformName } from '../posix/index.js'
import { COMMON_OPTIONS, type CommonOptions } from './common-options.js'
import { checkOptions, type OptionSpecs } from './options.js'
import { type Parts, runsOnCaller, type ServeOptions, type Server, startServer } from './server.js'

/** The families of models, each a package. */
export type Family = 'process-models' | 'thread-models' | 'io-multiplexing' | 'patterns' | 'modern'

/** What a model's file says of it. */
export interface Definition<Options, Shared> {
  /** Kebab-case: also the file's name, the subpath export, the word on the command line. */
  readonly name: string
  readonly family: Family
  /** One sentence without a full stop. */
  readonly summary: string
  /** What the system must have, in words. Default: nothing beyond the calls of POSIX. */
  readonly needs?: readonly string[]
  /** Why the model cannot run on this machine; undefined where it can. Default: it can wherever koffi and its calls are. */
  readonly missing?: () => string | undefined
  /**
   * Which of several ways provides the mechanism on this machine, in words: 'emulated over epoll'. Default: there is one way,
   * the real one.
   */
  readonly mechanism?: (options: Options) => string
  readonly options: OptionSpecs<Options>
  /** Makes what the roles share, once a server, before they start. */
  readonly shared?: (options: Options) => Shared
  /** Gives back what `shared` holds that is no memory, once all roles have ended. */
  readonly dispose?: (shared: Shared) => void
  /**
   * Reads what the model's own parts (queues, pools, stages) say of themselves, out of what is shared: `server.stats().parts`.
   * Called on the host at any time, also after the end; must not block. Default: nothing.
   */
  readonly statistics?: (shared: Shared, options: Options) => Parts
  readonly roles: Roles<Options, Shared>
}

/** A model that can serve. */
export interface Model<Options> {
  readonly name: string
  readonly family: Family
  readonly summary: string
  readonly needs: readonly string[]
  /** All options, the model's own first, then those that every model has. */
  readonly options: OptionSpecs<Options & CommonOptions>
  /** Whether `serve({ fetch })` works with the options' defaults, or only `serve({ app })`. */
  readonly takesFunction: boolean
  /** Why the model cannot run on this machine; undefined where it can. */
  missing(): string | undefined
  /** Which of several ways provides the mechanism with these options (default: the defaults); undefined where there is one way. */
  mechanism(options?: Partial<Options>): string | undefined
  /**
   * Serves an app; resolves when connections are accepted and every role is ready.
   * @throws OptionError, PosixError (EADDRINUSE, …), UnsupportedError, or ServerError where a role does not start, as with
   * an app that does not load; nothing is left behind
   */
  serve(options: ServeOptions & Partial<Options & CommonOptions>): Promise<Server>
}

/** Defines a model in the module whose `import.meta` is given: threads and processes import it again to run its roles. */
export function defineModel<Options extends object, Shared = undefined>(
  meta: ImportMeta,
  definition: Definition<Options, Shared>,
): Model<Options> {
  const { name, family, summary, needs = [], roles } = definition
  registerRoles(name, roles as unknown as Roles)
  const model: Model<Options> = {
    name,
    family,
    summary,
    needs,
    options: { ...definition.options, ...COMMON_OPTIONS } as OptionSpecs<Options & CommonOptions>,
    takesFunction: runsOnCaller(
      roles as unknown as Roles<unknown, unknown>,
      checkOptions(definition.options, {}, name),
    ),
    mechanism: (options = {}) => definition.mechanism?.(checkOptions(definition.options, options, name)),
    missing: () => (isSupported ? definition.missing?.() : `no system calls are known for ${platformName}`),
    serve: (options) => startServer(model, meta.url, definition, options),
  }
  return model
}
