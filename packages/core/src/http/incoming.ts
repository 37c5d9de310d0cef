import type { RequestBody } from './body.js'
import { LightHeaders } from './fetch/index.js'
import type { Head } from './head.js'

/** What of a head outlasts its parsing. */
export type RequestHead = Pick<
  Head,
  'method' | 'target' | 'host' | 'fields' | 'minor' | 'keepAlive' | 'expectContinue' | 'plainTarget'
>

/** A request as the machine hands it to the fetch side: strings taken from the head, everything else computed when asked. */
export class Incoming {
  readonly method: string
  readonly target: string
  readonly host: string
  /** 0 for HTTP/1.0, otherwise 1. */
  readonly minor: number
  readonly keepAlive: boolean
  readonly expectContinue: boolean
  /** True once 100 (Continue) has been sent. */
  continued = false
  /** True once the app holds the signal that tells it of a client that leaves. */
  watched = false
  body: RequestBody | null = null
  /** Called when the client has gone, for whoever passes the request on. */
  onAbort: (() => void) | undefined
  /** The field section, its lines checked, as it came. */
  readonly fields: string
  /** True where the target needs no URL parser. */
  readonly plainTarget: boolean

  constructor(head: RequestHead) {
    this.method = head.method
    this.target = head.target
    this.host = head.host
    this.fields = head.fields
    this.minor = head.minor
    this.keepAlive = head.keepAlive
    this.expectContinue = head.expectContinue
    this.plainTarget = head.plainTarget
  }

  /** The absolute URL as the URL standard normalises it (RFC 9112 §3.3). */
  url(): string {
    const { target } = this
    if (target.charCodeAt(0) !== SLASH && target !== '*') return absoluteUrl(target)!
    const origin = originOf(this.host)!
    if (target === '*') return `${origin}/`
    if (this.plainTarget && !target.includes('/.') && !target.includes('/%2')) return origin + target // no dot segments
    return new URL(origin + target).href
  }

  headers(): LightHeaders {
    return LightHeaders.fromHead(this.fields, 0)
  }

  onSignal(): void {
    this.watched = true
  }
}

/**
 * Judges what the grammar leaves open: the method, the form of the request-target against it (RFC 9112 §3.2), and the host.
 * @returns 0, or the status code of the refusal.
 */
export function refusalOf(head: Head): number {
  const { method, target } = head
  if (method === 'CONNECT' || method === 'TRACE') return 501
  if (originOf(head.host) === undefined) return 400
  if (target.charCodeAt(0) === SLASH) return head.plainTarget || !target.includes('#') ? 0 : 400
  if (target === '*') return method === 'OPTIONS' ? 0 : 400
  return absoluteUrl(target) === undefined ? 400 : 0
}

const SLASH = 47

/** absolute-form (RFC 9112 §3.2.2), whose authority counts instead of Host: no user information, no fragment. */
const ABSOLUTE = /^https?:\/\/([^/?#]+)(?:[/?][^#]*)?$/i

function absoluteUrl(target: string): string | undefined {
  const authority = ABSOLUTE.exec(target)?.[1]
  if (authority === undefined || !AUTHORITY.test(authority) || !URL.canParse(target)) return undefined
  return new URL(target).href
}

/** uri-host [ ":" port ] (RFC 9110 §7.2, RFC 3986 §3.2.2). */
const AUTHORITY = /^(?:\[[\dA-Fa-f:.]+\]|(?:[-\w.~!$&'()*+,;=]|%[\dA-Fa-f]{2})*)(?::\d*)?$/

/** Clients name the same few hosts again and again; what the URL parser made of them is kept. */
const origins = new Map<string, string>()
const KNOWN_ORIGINS = 256
const KNOWN_LENGTH = 255
let lastHost = ''
let lastOrigin = 'http://localhost'

/** The origin that a Host value names, that of localhost for an empty one, undefined where no URL can have it. */
function originOf(host: string): string | undefined {
  if (host === lastHost) return lastOrigin
  const origin = origins.get(host) ?? parseOrigin(host)
  if (origin === undefined) return undefined
  lastHost = host
  lastOrigin = origin
  return origin
}

function parseOrigin(host: string): string | undefined {
  const url = `http://${host === '' ? 'localhost' : host}`
  if (!AUTHORITY.test(host) || !URL.canParse(url)) return undefined
  const { origin } = new URL(url)
  if (host.length > KNOWN_LENGTH) return origin
  if (origins.size >= KNOWN_ORIGINS) origins.clear()
  origins.set(host, origin)
  return origin
}
