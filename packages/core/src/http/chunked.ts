/**
 * Decodes the chunked transfer coding (RFC 9112 §7.1), bytes in, data ranges out; every line ends in CRLF and nothing else.
 */

import { BACKSLASH, COLON, CR, EQUALS, FIELD_VALUE, HEX, LF, QUOTE, SEMICOLON, SPACE, TAB, TOKEN } from './grammar.js'
import type { HttpLimits } from './limits.js'

const SIZE = 0
const SIZE_LF = 1
const DATA = 2
const DATA_CR = 3
const DATA_LF = 4
const EXTENSION_START = 5
const EXTENSION_NAME = 6
const EXTENSION_NAME_END = 7
const EXTENSION_EQUALS = 8
const EXTENSION_VALUE = 9
const EXTENSION_QUOTED = 10
const EXTENSION_ESCAPED = 11
const EXTENSION_QUOTE_END = 12
const EXTENSION_END = 13
const TRAILER_START = 14
const TRAILER_NAME = 15
const TRAILER_VALUE = 16
const TRAILER_LF = 17
const END_LF = 18
const DONE = 19

/** Bytes that chunk extensions of one body may take in all, beyond which the answer is 413: nobody needs them, attackers do. */
const EXTENSION_LIMIT = 16_384

/** The state of one chunked body. */
export class ChunkedDecoder {
  /** The range of data that the last {@link step} found, `from === to` where it found none. */
  from = 0
  to = 0
  #state = SIZE
  #digits = 0
  #size = 0
  #extension = 0
  #trailer = 0
  readonly #limits: HttpLimits

  constructor(limits: HttpLimits) {
    this.#limits = limits
  }

  /** True behind the last byte of the trailer section. */
  get done(): boolean {
    return this.#state === DONE
  }

  /**
   * Decodes from `bytes[start, end)` up to the first range of data or the end of the body.
   * @returns the offset up to which bytes were taken, or a negative status code with which to refuse the body.
   */
  step(bytes: Uint8Array, start: number, end: number): number {
    this.from = this.to = start
    for (let at = start; at < end; at++) {
      if (this.#state === DATA) return this.#data(at, end)
      const status = this.#framing(bytes[at])
      if (status !== 0) return status
      if (this.#state === DONE) return at + 1
    }
    return end
  }

  #data(at: number, end: number): number {
    const length = Math.min(this.#size, end - at)
    this.#size -= length
    if (this.#size === 0) this.#state = DATA_CR
    this.from = at
    this.to = at + length
    return this.to
  }

  /** Takes one byte that is not data; 0, or the refusal. */
  #framing(byte: number): number {
    const state = this.#state
    if (state === SIZE) return this.#sizeByte(byte)
    if (state >= TRAILER_START) return this.#trailerByte(byte)
    if (state >= EXTENSION_START) return this.#extensionByte(byte)
    if (state === SIZE_LF) {
      this.#digits = 0
      return this.#go(this.#size === 0 ? TRAILER_START : DATA, byte === LF)
    }
    return state === DATA_CR ? this.#go(DATA_LF, byte === CR) : this.#go(SIZE, byte === LF)
  }

  #go(state: number, allowed: boolean): number {
    this.#state = state
    return allowed ? 0 : -400
  }

  #sizeByte(byte: number): number {
    const digit = HEX[byte]
    if (digit !== 255) {
      if (++this.#digits > 13) return -400 // 52 bits: what a double counts exactly
      this.#size = this.#size * 16 + digit
      return 0
    }
    return this.#digits === 0 ? -400 : this.#separator(byte, EXTENSION_END)
  }

  /** *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ) (RFC 9112 §7.1.1): checked, and ignored. */
  #extensionByte(byte: number): number {
    if (++this.#extension > EXTENSION_LIMIT) return -413
    const blank = byte === SPACE || byte === TAB
    switch (this.#state) {
      case EXTENSION_START:
        return blank ? 0 : this.#go(EXTENSION_NAME, TOKEN[byte] === 1)
      case EXTENSION_NAME:
        if (TOKEN[byte] === 1) return 0
        return byte === EQUALS ? this.#go(EXTENSION_EQUALS, true) : this.#separator(byte, EXTENSION_NAME_END)
      case EXTENSION_NAME_END:
        if (blank) return 0
        return byte === EQUALS ? this.#go(EXTENSION_EQUALS, true) : this.#go(EXTENSION_START, byte === SEMICOLON)
      case EXTENSION_EQUALS:
        if (blank) return 0
        return byte === QUOTE ? this.#go(EXTENSION_QUOTED, true) : this.#go(EXTENSION_VALUE, TOKEN[byte] === 1)
      case EXTENSION_QUOTE_END:
        return this.#separator(byte, EXTENSION_END)
      case EXTENSION_VALUE:
        return TOKEN[byte] === 1 ? 0 : this.#separator(byte, EXTENSION_END)
      case EXTENSION_QUOTED:
        if (byte === QUOTE) return this.#go(EXTENSION_QUOTE_END, true)
        return this.#go(byte === BACKSLASH ? EXTENSION_ESCAPED : EXTENSION_QUOTED, FIELD_VALUE[byte] === 1)
      case EXTENSION_ESCAPED:
        return this.#go(EXTENSION_QUOTED, FIELD_VALUE[byte] === 1)
      default:
        return blank ? 0 : this.#go(EXTENSION_START, byte === SEMICOLON)
    }
  }

  /** Behind a size, a name or a value: the end of the line, an extension, or blanks that only an extension may follow. */
  #separator(byte: number, blankState: number): number {
    if (byte === CR) return this.#go(SIZE_LF, true)
    if (byte === SEMICOLON) return this.#go(EXTENSION_START, true)
    return this.#go(blankState, byte === SPACE || byte === TAB)
  }

  /** The trailer section is checked as fields are (RFC 9112 §7.1.2) and then dropped. */
  #trailerByte(byte: number): number {
    if (++this.#trailer > this.#limits.headerBytes) return -431
    switch (this.#state) {
      case TRAILER_START:
        this.#state = byte === CR ? END_LF : TRAILER_NAME
        return byte === CR || TOKEN[byte] === 1 ? 0 : -400
      case TRAILER_NAME:
        if (byte === COLON) this.#state = TRAILER_VALUE
        return byte === COLON || TOKEN[byte] === 1 ? 0 : -400
      case TRAILER_VALUE:
        if (byte === CR) this.#state = TRAILER_LF
        return byte === CR || FIELD_VALUE[byte] === 1 ? 0 : -400
      case TRAILER_LF:
        this.#state = TRAILER_START
        return byte === LF ? 0 : -400
      default:
        this.#state = DONE
        return byte === LF ? 0 : -400
    }
  }
}
