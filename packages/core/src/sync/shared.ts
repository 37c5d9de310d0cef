/** What stands for a shareable object on its way to another thread: plain data, structured-cloneable. */
export interface Shared {
  /** Names the class that opens it: 'mutex', 'bounded-queue', ... */
  readonly kind: string
  /** The memory that both threads use. */
  readonly buffer: SharedArrayBuffer
}

/** Returns the cells of a descriptor; throws TypeError if it is not one of this kind. */
export function receive(shared: Shared, kind: string): Int32Array {
  if (shared?.kind === kind && shared.buffer instanceof SharedArrayBuffer) return new Int32Array(shared.buffer)
  throw new TypeError(`expected { kind: '${kind}', buffer: SharedArrayBuffer }; the kind given is '${shared?.kind}'`)
}
