/** Refuses what a command does not know: a mistyped flag must not be ignored in silence. */
export function refuseUnknown(
  args: Readonly<Record<string, unknown>> & { readonly _: readonly string[] },
  known: Readonly<Record<string, { readonly type?: string }>>,
): void {
  const flag = Object.keys(args).find((name) => name !== '_' && !(name in known))
  const flags = Object.keys(known).filter((name) => known[name]!.type !== 'positional')
  if (flag !== undefined) {
    throw new Error(`there is no flag --${flag}; there are: ${flags.map((name) => `--${name}`).join(', ')}`)
  }
  const positionals = Object.keys(known).length - flags.length
  if (args._.length > positionals) throw new Error(`'${args._[positionals]}' is one argument too many`)
}
