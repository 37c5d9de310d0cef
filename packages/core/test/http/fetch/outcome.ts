/** Runs something and gives its result, or the class of what it threw, so that two implementations can be compared. */
export function outcome(run: () => unknown): unknown {
  try {
    return { result: run() }
  } catch (error) {
    return { thrown: (error as Error).constructor.name }
  }
}

/** The same for something asynchronous. */
export async function outcomeOf(run: () => unknown): Promise<unknown> {
  try {
    return { result: await run() }
  } catch (error) {
    return { thrown: (error as Error).constructor.name }
  }
}
