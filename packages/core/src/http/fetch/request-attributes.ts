/** What a request that came from the network answers for the attributes that only concern outgoing ones (§5.4). */
const INCOMING_ATTRIBUTES = {
  cache: 'default',
  credentials: 'same-origin',
  destination: '',
  duplex: 'half',
  integrity: '',
  isHistoryNavigation: false,
  isReloadNavigation: false,
  keepalive: false,
  mode: 'cors',
  redirect: 'follow',
  referrer: 'about:client',
  referrerPolicy: '',
} as const

/** Defines these attributes, answered by the real request where there is one. */
export function defineAttributes<T extends Request>(prototype: T, realOf: (request: T) => Request | null): void {
  for (const [name, value] of Object.entries(INCOMING_ATTRIBUTES)) {
    Object.defineProperty(prototype, name, {
      configurable: true,
      get(this: T) {
        return realOf(this)?.[name as 'cache'] ?? value
      },
    })
  }
}

/** What console.log shows of a request. */
export const SHOWN: readonly (keyof Request)[] = [
  'method',
  'url',
  'headers',
  'destination',
  'referrer',
  'referrerPolicy',
  'mode',
  'credentials',
  'cache',
  'redirect',
  'integrity',
  'keepalive',
  'signal',
]
