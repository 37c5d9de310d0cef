/**
 * The fetch side of the HTTP machine: light Headers, Request and Response that are instances of the platform's.
 *
 * An app sees the interface of the Fetch standard; the machine uses the functions, which apps cannot reach.
 */

export { installFetchGlobals } from './globals.js'
export { LightHeaders, raw } from './headers.js'
export type { Incoming, RequestBodySource } from './incoming.js'
export { realFetch, realHeaders, realRequest, realResponse } from './real.js'
export { abortRequest, incomingOf, LightRequest, requestFrom, toRealRequest } from './request.js'
export { LightResponse } from './response.js'
export {
  bodySizeOf,
  flatHeadersOf,
  isResponse,
  responseFrom,
  statusOf,
  statusTextOf,
  takeBody,
} from './response-parts.js'
