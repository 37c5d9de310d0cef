/** Gives a system its turns as callbacks of Node's loop: soon, or when something is due. Owner thread only. */
export class NodeLoop {
  readonly #turn: () => void
  #isArmed = false
  #alarm: { readonly due: number; readonly timer: NodeJS.Timeout } | undefined

  constructor(turn: () => void) {
    this.#turn = turn
  }

  /** Has a turn come after what Node's loop has to do now. */
  wake(): void {
    if (this.#isArmed) return
    this.#isArmed = true
    setImmediate(() => {
      this.#isArmed = false
      this.#turn()
    })
  }

  /** Has a turn come at a time on the clock of performance.now(), unless one is to come before; Infinity for none. */
  wakeAt(due: number): void {
    if (due === Number.POSITIVE_INFINITY || (this.#alarm !== undefined && this.#alarm.due <= due)) return
    clearTimeout(this.#alarm?.timer)
    const ring = (): void => {
      this.#alarm = undefined
      this.#turn()
    }
    this.#alarm = { due, timer: setTimeout(ring, Math.max(0, due - performance.now())) }
  }

  close(): void {
    clearTimeout(this.#alarm?.timer)
  }
}
