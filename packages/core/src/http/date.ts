/** The Date field (RFC 9110 §6.6.1), rendered once a second: the driver tells the time, machines read the line. */
export class DateField {
  /** The whole field line with its CRLF. */
  line = ''
  #second = -1

  /** @param now milliseconds since the epoch */
  constructor(now: number) {
    this.tick(now)
  }

  /** Renders the line anew if the second has changed. */
  tick(now: number): void {
    const second = Math.floor(now / 1000)
    if (second === this.#second) return
    this.#second = second
    this.line = `date: ${new Date(now).toUTCString()}\r\n`
  }
}
