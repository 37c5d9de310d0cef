/** The iterators of Headers (Web IDL §3.7.10): they see changes made while they run, as the standard demands. */

type Entry = readonly [string, string]
type EntriesOf = () => readonly Entry[]

/** What keys(), values() and entries() each give of one entry. */
export const pick = {
  key: (entry: Entry): string => entry[0],
  value: (entry: Entry): string => entry[1],
  entry: (entry: Entry): [string, string] => [entry[0], entry[1]],
} as const

class HeadersIterator<T> {
  readonly #entriesOf: EntriesOf
  readonly #pick: (entry: Entry) => T
  #index = 0

  constructor(entriesOf: EntriesOf, pickFrom: (entry: Entry) => T) {
    this.#entriesOf = entriesOf
    this.#pick = pickFrom
  }

  next(): IteratorResult<T, undefined> {
    const entry = this.#entriesOf()[this.#index]
    if (entry === undefined) return { done: true, value: undefined }
    this.#index++
    return { done: false, value: this.#pick(entry) }
  }
}

const iteratorPrototype: object = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()))

Object.setPrototypeOf(HeadersIterator.prototype, iteratorPrototype)
Object.defineProperty(HeadersIterator.prototype, 'next', { enumerable: true })
Object.defineProperty(HeadersIterator.prototype, 'constructor', { value: Object })
Object.defineProperty(HeadersIterator.prototype, Symbol.toStringTag, { value: 'Headers Iterator', configurable: true })

/** Iterates over the entries that `entriesOf` gives at each step. */
export function iterate<T>(entriesOf: EntriesOf, pickFrom: (entry: Entry) => T): IterableIterator<T> {
  return new HeadersIterator(entriesOf, pickFrom) as unknown as IterableIterator<T>
}
