/** How much a client may send before it is refused; every model honours the same limits. */
export interface HttpLimits {
  /** Bytes of a request line (RFC 9112 §3) with its CRLF, beyond which the answer is 414. */
  readonly requestLine: number
  /** Bytes of a header or trailer section (RFC 9112 §5) with its closing empty line, beyond which the answer is 431. */
  readonly headerBytes: number
  /** Fields of a header section, beyond which the answer is 431. */
  readonly headerCount: number
  /** Bytes of a request body after decoding, beyond which the answer is 413. */
  readonly body: number
}

/** The limits used where nobody gave others. */
export const DEFAULT_LIMITS: HttpLimits = {
  requestLine: 8192,
  headerBytes: 16_384,
  headerCount: 256,
  body: 128 * 1024 * 1024,
}

/** Bytes of a body that may wait for its reader before reading from the connection pauses. */
export const BODY_HIGH_WATER: number = 64 * 1024

/** Bytes of an unread request body that are read and thrown away to keep the connection; beyond it the connection closes. */
export const DISCARD_LIMIT: number = 256 * 1024
