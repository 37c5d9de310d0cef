/** What Node's Buffer has on all its versions and declares only on later ones: encodings without a switch over their names. */
declare global {
  interface Buffer {
    latin1Slice(start: number, end: number): string
    latin1Write(text: string, offset: number): number
    utf8Write(text: string, offset: number): number
  }
}

export {}
