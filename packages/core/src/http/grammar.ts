/** Character classes of RFC 9110 §5.6 and RFC 3986, as tables over byte values. */

const ALPHANUMERIC = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'

function classOf(characters: string): Uint8Array {
  const table = new Uint8Array(256)
  for (const character of characters) table[character.charCodeAt(0)] = 1
  return table
}

/** 1 for each tchar: what methods and field names are made of (RFC 9110 §5.6.2). */
export const TOKEN: Uint8Array = classOf(`!#$%&'*+-.^_\`|~${ALPHANUMERIC}`)

/** 1 for each byte that a field value may hold: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5). */
export const FIELD_VALUE: Uint8Array = new Uint8Array(256).map((_, byte) =>
  Number(byte === 9 || (byte >= 32 && byte !== 127)),
)

/** 1 for each byte of a path or query that the URL standard leaves as it is, so that no URL parser need see the target. */
export const PLAIN_TARGET: Uint8Array = classOf(`-._~!$&()*+,;=%:@/?${ALPHANUMERIC}`)

/** The value of a hexadecimal digit, 255 for any other byte. */
export const HEX: Uint8Array = new Uint8Array(256).fill(255)
for (let digit = 0; digit < 16; digit++) {
  const character = digit.toString(16)
  HEX[character.charCodeAt(0)] = digit
  HEX[character.toUpperCase().charCodeAt(0)] = digit
}

export const TAB = 9
export const LF = 10
export const CR = 13
export const SPACE = 32
export const COLON = 58
export const SEMICOLON = 59
export const QUOTE = 34
export const EQUALS = 61
export const BACKSLASH = 92
