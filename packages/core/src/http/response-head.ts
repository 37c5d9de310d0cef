import './buffer.js'
import { reasonOf } from './status.js'

/** The fields of a response as they go out, and what some of them said to the machine. */
export interface ResponseFields {
  /** Field lines, each with its CRLF, without those that the machine writes itself. */
  readonly text: string
  /** Content-Length as the app gave it, or -1. */
  readonly contentLength: number
  /** True where the app asked for `Connection: close`. */
  readonly close: boolean
  /** True where the app set Date. */
  readonly date: boolean
  /** True where other responses have the same fields. */
  readonly shared: boolean
}

/** The fields of what the machine answers itself. */
export const TEXT_FIELDS: ResponseFields = render(['content-type', 'text/plain;charset=UTF-8'], false)

/** Renders the status line (RFC 9112 §4) with the registered reason phrase where none is given. */
function statusLine(status: number, statusText: string): string {
  return `HTTP/1.1 ${status} ${statusText === '' ? reasonOf(status) : statusText}\r\n`
}

/** The last head, since almost all responses of a second have the same but for their length. */
let lastStatus = 0
let lastRendered: ResponseFields | undefined
let lastDate = ''
let lastHead = ''

/** Renders what a response starts with, up to the fields that tell of its framing; `date` is the line to add if it has none. */
export function renderHead(status: number, statusText: string, fields: ResponseFields, date: string): string {
  if (status === lastStatus && fields === lastRendered && date === lastDate && statusText === '') return lastHead
  const head = statusLine(status, statusText) + fields.text + (fields.date ? '' : date)
  if (!fields.shared || statusText !== '') return head
  lastStatus = status
  lastRendered = fields
  lastDate = date
  lastHead = Buffer.from(head, 'latin1').latin1Slice(0, head.length) // one piece of memory instead of a tree of pieces
  return lastHead
}

/** The last shared list and what became of it: the fetch side gives all responses with default fields one frozen list. */
let lastFlat: readonly string[] | undefined
let lastFields: ResponseFields | undefined

/**
 * Renders field lines from a flat list of lower-case names and values. Fields that describe the connection or the framing
 * (RFC 9110 §7.6.1) are the machine's to write and left out.
 * @param decoded true where `fetch` has decoded the body already, so that the encoding and length it came with are stale
 */
export function renderFields(flat: readonly string[], decoded: boolean): ResponseFields {
  if (flat === lastFlat && lastFields !== undefined) return lastFields
  const fields = render(flat, decoded)
  if (!fields.shared) return fields
  lastFlat = flat
  lastFields = fields
  return fields
}

function render(flat: readonly string[], decoded: boolean): ResponseFields {
  let text = ''
  let contentLength = -1
  let close = false
  let date = false
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]
    const value = flat[i + 1]
    switch (name) {
      case 'connection':
        close ||= /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(value)
        continue
      case 'content-length':
        if (!decoded && /^\d{1,15}$/.test(value)) contentLength = Number(value)
        continue
      case 'content-encoding':
        if (decoded) continue
        break
      case 'date':
        date = true
        break
      case 'keep-alive':
      case 'proxy-connection':
      case 'trailer':
      case 'transfer-encoding':
      case 'upgrade':
        continue
    }
    text += `${name}: ${value}\r\n`
  }
  return { text, contentLength, close, date, shared: Object.isFrozen(flat) }
}
