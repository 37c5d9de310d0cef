/** Prints one clear line on standard error and ends with code 1; with CS_LOG_LEVEL=debug the stack as well. */
export function fail(error: unknown): never {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  process.stderr.write(`cs: ${message.split('\n')[0]}\n`)
  if (process.env.CS_LOG_LEVEL === 'debug') process.stderr.write(`${stack}\n`)
  process.exit(1)
}
