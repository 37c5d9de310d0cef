/** Reads every `--set name=value` of a command line; the last word on a name counts. */
export function settingsFrom(rawArgs: readonly string[]): Record<string, string> {
  const settings: Record<string, string> = {}
  for (let i = 0; i < rawArgs.length; i++) {
    const [, inline] = /^--set=(.*)$/s.exec(rawArgs[i]!) ?? []
    const setting = inline ?? (rawArgs[i] === '--set' ? (rawArgs[++i] ?? '') : undefined)
    if (setting === undefined) continue
    const [, name, value] = /^([A-Za-z][\w-]*)=(.*)$/s.exec(setting) ?? []
    if (name === undefined || value === undefined) throw new Error(`--set takes name=value, not '${setting}'`)
    settings[name] = value
  }
  return settings
}
